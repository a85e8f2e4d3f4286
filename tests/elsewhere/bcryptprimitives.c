// Replaces a library that Wine 8 lacks, and from which Rust's standard library gets its random numbers.

#include <stddef.h>

// `RtlGenRandom`, which `advapi32` exports by this name.
__declspec(dllimport) unsigned char SystemFunction036(void *buffer, unsigned long length);

__declspec(dllexport) int ProcessPrng(unsigned char *buffer, size_t length) {
    return SystemFunction036(buffer, (unsigned long)length);
}
