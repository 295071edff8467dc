// Only in the preset tsan, where this is included before everything else of a file that uses
// messages. Where the compiler says that TSan is on, protobuf gives each map of a message two more
// members. libprotobuf and the generated code are compiled without, so the fields behind a map
// would be elsewhere.
#pragma once

#include <string>  // libstdc++ has to know of TSan: its first header looks

#pragma push_macro("__SANITIZE_THREAD__")
#undef __SANITIZE_THREAD__
#include <google/protobuf/map_field.h>
#pragma pop_macro("__SANITIZE_THREAD__")
