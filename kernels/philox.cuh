// Philox4x32-10 on 32-bit words: Salmon, Moraes, Dror and Shaw (2011), "Parallel random numbers: as easy as 1, 2, 3".
//
// The twin of kernels/philox.py. Of a counter only the lowest word differs within a launch, so what the first two rounds make
// of the others, and the keys of all rounds, come from the launcher (`constants` there).
#pragma once

struct Stream {
    u32 first[4];  // what the first two rounds add to the counter's lowest word
    u32 key[16];   // the keys of the other eight
};

DEVICE void philox(u32 counter, const Stream& stream, u32* word) {
    constexpr u32 MULTIPLIER_0 = 0xD2511F53u, MULTIPLIER_1 = 0xCD9E8D57u;
    const u64 start = static_cast<u64>(counter) * MULTIPLIER_0;
    const u64 second = static_cast<u64>(static_cast<u32>(start >> 32) ^ stream.first[0]) * MULTIPLIER_1;
    u32 c0 = static_cast<u32>(second >> 32) ^ stream.first[1], c1 = static_cast<u32>(second);
    u32 c2 = static_cast<u32>(start) ^ stream.first[2], c3 = stream.first[3];
#pragma unroll
    for (int round = 0; round < 8; ++round) {
        const u64 product_0 = static_cast<u64>(c0) * MULTIPLIER_0;
        const u64 product_1 = static_cast<u64>(c2) * MULTIPLIER_1;
        c0 = static_cast<u32>(product_1 >> 32) ^ c1 ^ stream.key[2 * round];
        c1 = static_cast<u32>(product_1);
        c2 = static_cast<u32>(product_0 >> 32) ^ c3 ^ stream.key[2 * round + 1];
        c3 = static_cast<u32>(product_0);
    }
    word[0] = c0;
    word[1] = c1;
    word[2] = c2;
    word[3] = c3;
}
