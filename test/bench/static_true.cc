// The program of the kernel floor: a static binary that does nothing.
int main() { return 0; }
