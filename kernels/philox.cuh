// Philox4x32-10 on 32-bit words: Salmon, Moraes, Dror and Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3".
//
// The twin of kernels/philox.py. The keys of the ten rounds come ready-made from the launcher, since they are the same for
// all threads: a round is two products of 32 by 32 bits and two exclusive ors.
#pragma once

struct Counter {
    u32 low, high, stream_low, stream_high;
};

struct RoundKeys {
    u32 key[20];
};

DEVICE void philox(Counter counter, const RoundKeys& keys, u32* word) {
    u32 c0 = counter.low, c1 = counter.high, c2 = counter.stream_low, c3 = counter.stream_high;
#pragma unroll
    for (int round = 0; round < 10; ++round) {
        const u64 product_0 = static_cast<u64>(c0) * 0xD2511F53u;
        const u64 product_1 = static_cast<u64>(c2) * 0xCD9E8D57u;
        c0 = static_cast<u32>(product_1 >> 32) ^ c1 ^ keys.key[2 * round];
        c1 = static_cast<u32>(product_1);
        c2 = static_cast<u32>(product_0 >> 32) ^ c3 ^ keys.key[2 * round + 1];
        c3 = static_cast<u32>(product_0);
    }
    word[0] = c0;
    word[1] = c1;
    word[2] = c2;
    word[3] = c3;
}
