// Dense fills: consecutive elements of a logical tensor into consecutive memory, from any start, at any alignment.
//
// Formula: value(i) = cast(clamp(fma(scale, quantile(word(key, i)), location), low, high)), i the element's linear index.
// Map: a vector is 16 bytes of output, and vector 0 starts at the 16-byte boundary at or before the output. A tile is UNROLL
//   vectors of each thread of a block; blocks take the tiles that lie wholly inside the range in turns. The vectors before
//   and after those tiles are made one a thread; elements outside the range are not stored. A vector's elements come from
//   whole counters, or, where its first element is not a counter's first word (SHIFTED), from one counter more, the words
//   moved up. The launcher keeps the counter's upper word constant within a launch.
// Rare tail: all values are computed by the central polynomial, then those deeper than it holds are computed again.
// Bounds: NONE where no value can leave them, SYMMETRIC where low = -high. Bounds are values of the stored type, and rounding
//   is monotone, so 16-bit types are clamped when they are rounded, two at a time.
// Deterministic: every value depends on its index alone.
#pragma once

template <class Real>
struct Dense {
    u64 out;          // the address of vector 0
    u64 size;         // elements from vector 0's first to the range's last
    u32 vectors;      // that hold them
    u32 first;        // vectors from this one ..
    u32 end;          // .. to before this one are whole tiles inside the range
    u32 head;         // elements of vector 0 before the range
    u32 shift;        // words of the first counter before vector 0's first element
    u32 counter;      // the lowest word of vector 0's first counter
    Stream stream;
    Law<Real> law;
};

DEVICE void as_words(const u32* drawn, u32* word) {
#pragma unroll
    for (int j = 0; j < 4; ++j) word[j] = drawn[j];
}

DEVICE void as_words(const u32* drawn, u64* word) {
#pragma unroll
    for (int j = 0; j < 2; ++j) word[j] = static_cast<u64>(drawn[2 * j + 1]) << 32 | drawn[2 * j];
}

// A vector's words, how deep in the tail each lies, and the deepest of them.
template <class Real, int DRAWN, int ELEMENTS>
struct Drawn {
    typename Format<Real>::Word word[DRAWN];
    Real depth[ELEMENTS];
    Real deepest;
};

template <class Quantile, class Storage, int BOUNDS, bool SHIFTED>
struct Fill {
    typedef typename Storage::Real Real;
    typedef typename Storage::Stored Stored;
    typedef typename Format<Real>::Word Word;
    static constexpr int ELEMENTS = 16 / sizeof(Stored), PER_COUNTER = 16 / sizeof(Word), COUNTERS = ELEMENTS / PER_COUNTER;
    static constexpr int DRAWN = ELEMENTS + (SHIFTED ? PER_COUNTER : 0);
    typedef Drawn<Real, DRAWN, ELEMENTS> Words;

    static DEVICE u64 address(const Dense<Real>& dense, u32 number) { return dense.out + static_cast<u64>(number) * 16; }

    static DEVICE void draw(const Dense<Real>& dense, u32 number, Words& drawn) {
#pragma unroll
        for (int c = 0; c < DRAWN / PER_COUNTER; ++c) {
            u32 output[4];
            philox(dense.counter + number * COUNTERS + c, dense.stream, output);
            as_words(output, drawn.word + c * PER_COUNTER);
        }
        if (SHIFTED) {
#pragma unroll
            for (int bit = 1; bit < PER_COUNTER; bit *= 2) {
#pragma unroll
                for (int e = 0; e + bit < DRAWN; ++e) drawn.word[e] = dense.shift & bit ? drawn.word[e + bit] : drawn.word[e];
            }
        }
    }

    static DEVICE Real finish(const Law<Real>& law, Real x, int e) {
        x = fused(x, law.scale, law.location[e % 2]);
        if (BOUNDS == NONE || Storage::CLAMPS) return x;
        const Real high = e % 2 ? law.high_odd : law.high_even;
        return BOUNDS == SYMMETRIC ? held(x, high) : lesser(greater(x, e % 2 ? law.low_odd : law.low_even), high);
    }

    static DEVICE Vector central(const Law<Real>& law, Words& drawn) {
        Real x[ELEMENTS];
#pragma unroll
        for (int e = 0; e < ELEMENTS; ++e) {
            drawn.depth[e] = Quantile::depth(drawn.word[e], law);
            if (Quantile::HAS_TAIL) drawn.deepest = e ? greater(drawn.deepest, drawn.depth[e]) : drawn.depth[e];
            x[e] = finish(law, Quantile::central(drawn.word[e], drawn.depth[e], law), e);
        }
        return packed<Storage, BOUNDS>(x, law);
    }

    // The elements that lie in the tail, written over what `central` made of them.
    static DEVICE void store_tail(const Dense<Real>& dense, u32 number, const Words& drawn, u64 first, u64 end) {
        if constexpr (Quantile::HAS_TAIL) {
            if (!(drawn.deepest > dense.law.limit())) return;
#pragma unroll
            for (int e = 0; e < ELEMENTS; ++e) {
                const u64 place = static_cast<u64>(number) * ELEMENTS + e;
                if (drawn.depth[e] > dense.law.limit() && place >= first && place < end) {
                    const Real z = Quantile::tail(unknown(drawn.word[e]), drawn.depth[e], dense.law);
                    const Stored pattern = rounded<Storage, BOUNDS>(finish(dense.law, z, e), e, dense.law);
                    reinterpret_cast<Stored*>(address(dense, number))[e] = pattern;
                }
            }
        }
    }
};

template <class Quantile, class Storage, int BOUNDS, bool SHIFTED, int UNROLL>
__global__ void __launch_bounds__(THREADS, 2) dense_fill(const Dense<typename Storage::Real> dense) {
    typedef Fill<Quantile, Storage, BOUNDS, SHIFTED> Fill;
    constexpr u32 TILE = THREADS * UNROLL;
    for (u32 number = dense.first + blockIdx.x * TILE + threadIdx.x; number < dense.end; number += gridDim.x * TILE) {
        typename Fill::Words drawn[UNROLL];
#pragma unroll
        for (int v = 0; v < UNROLL; ++v) {
            Fill::draw(dense, number + v * THREADS, drawn[v]);
            store(Fill::address(dense, number) + v * THREADS * 16, Fill::central(dense.law, drawn[v]));
        }
#pragma unroll
        for (int v = 0; v < UNROLL; ++v) Fill::store_tail(dense, number + v * THREADS, drawn[v], 0, ~0ull);
    }
    const u32 inside = dense.end - dense.first;
    for (u32 edge = blockIdx.x * THREADS + threadIdx.x; edge < dense.vectors - inside; edge += gridDim.x * THREADS) {
        const u32 number = edge < dense.first ? edge : edge + inside;
        typename Fill::Words drawn;
        Fill::draw(dense, number, drawn);
        const Vector vector = Fill::central(dense.law, drawn);
#pragma unroll
        for (int e = 0; e < Fill::ELEMENTS; ++e) {
            const u64 place = static_cast<u64>(number) * Fill::ELEMENTS + e;
            if (place >= dense.head && place < dense.size)
                store_element<typename Fill::Stored>(Fill::address(dense, number), vector, e);
        }
        Fill::store_tail(dense, number, drawn, dense.head, dense.size);
    }
}
