// crisp-unpack: see unpack_main.h.
#include "snapshot/unpack_main.h"

int main(int argc, char** argv) { return crisp::snapshot::UnpackMain(argc, argv); }
