#include "store/crc32c.h"

#define POLYNOMIAL 0x82f63b78u /* reflected */

static uint32_t table[8][256];

static void table_fill(void)
{
    for (uint32_t n = 0; n < 256; n++) {
        uint32_t crc = n;
        for (int bit = 0; bit < 8; bit++)
            crc = crc & 1 ? (crc >> 1) ^ POLYNOMIAL : crc >> 1;
        table[0][n] = crc;
    }
    for (uint32_t n = 0; n < 256; n++)
        for (int slice = 1; slice < 8; slice++)
            table[slice][n] = (table[slice - 1][n] >> 8) ^ table[0][table[slice - 1][n] & 0xff];
}

uint32_t crc32c_by_table(uint32_t crc, struct span bytes)
{
    if (table[0][1] == 0)
        table_fill();
    const unsigned char *p = (const unsigned char *)bytes.data;
    size_t n = bytes.size;
    crc = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint32_t low = crc ^ ((uint32_t)p[0] | (uint32_t)p[1] << 8 | (uint32_t)p[2] << 16 | (uint32_t)p[3] << 24);
        crc = table[7][low & 0xff] ^ table[6][low >> 8 & 0xff] ^ table[5][low >> 16 & 0xff] ^ table[4][low >> 24] ^
              table[3][p[4]] ^ table[2][p[5]] ^ table[1][p[6]] ^ table[0][p[7]];
    }
    for (; n > 0; n--, p++)
        crc = (crc >> 8) ^ table[0][(crc ^ *p) & 0xff];
    return ~crc;
}

#if defined(__x86_64__)

#include <nmmintrin.h>

__attribute__((target("sse4.2"))) static uint32_t crc32c_by_instruction(uint32_t crc, struct span bytes)
{
    const char *p = bytes.data;
    size_t n = bytes.size;
    uint64_t state = ~crc;
    for (; n >= 8; n -= 8, p += 8) {
        uint64_t word;
        memcpy(&word, p, sizeof(word));
        state = _mm_crc32_u64(state, word);
    }
    uint32_t rest = (uint32_t)state;
    for (; n > 0; n--, p++)
        rest = _mm_crc32_u8(rest, (unsigned char)*p);
    return ~rest;
}

uint32_t crc32c(uint32_t crc, struct span bytes)
{
    return __builtin_cpu_supports("sse4.2") ? crc32c_by_instruction(crc, bytes) : crc32c_by_table(crc, bytes);
}

#else

uint32_t crc32c(uint32_t crc, struct span bytes)
{
    return crc32c_by_table(crc, bytes);
}

#endif
