// Rounding to the stored types, to nearest even, as many values as a 32-bit word holds; bounds of 16-bit types. The twin of
// kernels/narrow.py; where the GPU has an instruction for it, by that instruction. Values are finite and in range.
#pragma once

enum Bounds { NONE, GENERAL, SYMMETRIC };

// A type narrower than float32, by bits: the constants of `_target` in kernels/narrow.py.
template <int EXPONENT_BITS, int FRACTION_BITS>
struct NarrowByBits {
    static DEVICE u32 round(float x) {
        constexpr int SHIFT = 23 - FRACTION_BITS, BIAS = (1 << (EXPONENT_BITS - 1)) - 1;
        constexpr u32 REBIAS = static_cast<u32>(127 - BIAS) << FRACTION_BITS;
        constexpr u32 LEAST_NORMAL = static_cast<u32>(128 - BIAS) << 23;
        constexpr u32 ANCHOR = static_cast<u32>(1 - BIAS + SHIFT + 127) << 23;
        const u32 size = bits(x) & 0x7FFFFFFFu;
        const u32 odd = (size >> SHIFT) & 1u;
        const u32 normal = ((size + ((1u << (SHIFT - 1)) - 1u) + odd) >> SHIFT) - REBIAS;
        const u32 subnormal = bits(unbits(size) + unbits(ANCHOR)) - ANCHOR;
        const u32 sign = (bits(x) & 0x80000000u) >> (31 - EXPONENT_BITS - FRACTION_BITS);
        return (size < LEAST_NORMAL ? subnormal : normal) | sign;
    }
};

#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 860
#define CLAMPS_PAIRS true
#else
#define CLAMPS_PAIRS false
#endif

// Each type: how it is computed and stored. `pack` makes a word of as many values as it holds. Where CLAMPS, `between` and
// `held` (to +-high) bound packed values.
struct Float32 {
    typedef float Real;
    typedef u32 Stored;
    static constexpr bool CLAMPS = false;
    static DEVICE u32 pack(const float* x) { return bits(x[0]); }
};

struct Float64 {
    typedef double Real;
    typedef u64 Stored;
    static constexpr bool CLAMPS = false;
};

struct BFloat16 {
    typedef float Real;
    typedef u16 Stored;
    static constexpr bool CLAMPS = CLAMPS_PAIRS;
    static DEVICE u32 pack(const float* x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
        u32 pair;
        asm("cvt.rn.bf16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(x[1]), "f"(x[0]));
        return pair;
#else
        return round(x[1]) << 16 | round(x[0]);
#endif
    }
    static DEVICE u32 round(float x) { return (bits(x) + 0x7FFFu + ((bits(x) >> 16) & 1u)) >> 16; }
#if CLAMPS_PAIRS
    static DEVICE u32 between(u32 x, u32 low, u32 high) {
        asm("max.bf16x2 %0, %0, %1;" : "+r"(x) : "r"(low));
        asm("min.bf16x2 %0, %0, %1;" : "+r"(x) : "r"(high));
        return x;
    }
    static DEVICE u32 held(u32 x, u32 high) {
        asm("min.xorsign.abs.bf16x2 %0, %0, %1;" : "+r"(x) : "r"(high));
        return x;
    }
#endif
};

struct Float16 {
    typedef float Real;
    typedef u16 Stored;
    static constexpr bool CLAMPS = CLAMPS_PAIRS;
    static DEVICE u32 pack(const float* x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
        u32 pair;
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(x[1]), "f"(x[0]));
        return pair;
#else
        return NarrowByBits<5, 10>::round(x[1]) << 16 | NarrowByBits<5, 10>::round(x[0]);
#endif
    }
#if CLAMPS_PAIRS
    static DEVICE u32 between(u32 x, u32 low, u32 high) {
        asm("max.f16x2 %0, %0, %1;" : "+r"(x) : "r"(low));
        asm("min.f16x2 %0, %0, %1;" : "+r"(x) : "r"(high));
        return x;
    }
    static DEVICE u32 held(u32 x, u32 high) {
        asm("min.xorsign.abs.f16x2 %0, %0, %1;" : "+r"(x) : "r"(high));
        return x;
    }
#endif
};

struct Float8E4M3 {
    typedef float Real;
    typedef u8 Stored;
    static constexpr bool CLAMPS = false;
    static DEVICE u32 pack(const float* x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
        u16 low, high;
        asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(low) : "f"(x[1]), "f"(x[0]));
        asm("cvt.rn.satfinite.e4m3x2.f32 %0, %1, %2;" : "=h"(high) : "f"(x[3]), "f"(x[2]));
        return static_cast<u32>(high) << 16 | low;
#else
        typedef NarrowByBits<4, 3> To;
        return To::round(x[3]) << 24 | To::round(x[2]) << 16 | To::round(x[1]) << 8 | To::round(x[0]);
#endif
    }
};

struct Float8E5M2 {
    typedef float Real;
    typedef u8 Stored;
    static constexpr bool CLAMPS = false;
    static DEVICE u32 pack(const float* x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 890
        u16 low, high;
        asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(low) : "f"(x[1]), "f"(x[0]));
        asm("cvt.rn.satfinite.e5m2x2.f32 %0, %1, %2;" : "=h"(high) : "f"(x[3]), "f"(x[2]));
        return static_cast<u32>(high) << 16 | low;
#else
        typedef NarrowByBits<5, 2> To;
        return To::round(x[3]) << 24 | To::round(x[2]) << 16 | To::round(x[1]) << 8 | To::round(x[0]);
#endif
    }
};

// A word of values, the first of which stands at an even place; bounded, where the type does that packed.
template <class Storage, int BOUNDS, class Frame>
DEVICE u32 packed_word(const typename Storage::Real* x, const Frame& law) {
    const u32 word = Storage::pack(x);
    if constexpr (Storage::CLAMPS && BOUNDS != NONE) {
        const float low[2] = {law.low_even, law.low_odd}, high[2] = {law.high_even, law.high_odd};
        if (BOUNDS == SYMMETRIC) return Storage::held(word, Storage::pack(high));
        return Storage::between(word, Storage::pack(low), Storage::pack(high));
    }
    return word;
}

// What a vector of values becomes.
template <class Storage, int BOUNDS, class Frame>
DEVICE Vector packed(const typename Storage::Real* x, const Frame& law) {
    Vector vector;
    if constexpr (sizeof(typename Storage::Stored) == 8) {
#pragma unroll
        for (int e = 0; e < 2; ++e) {
            vector.word[2 * e] = static_cast<u32>(bits(x[e]));
            vector.word[2 * e + 1] = static_cast<u32>(bits(x[e]) >> 32);
        }
    } else {
        constexpr int PER_WORD = 4 / static_cast<int>(sizeof(typename Storage::Stored));
#pragma unroll
        for (int w = 0; w < 4; ++w) vector.word[w] = packed_word<Storage, BOUNDS>(x + w * PER_WORD, law);
    }
    return vector;
}

// One value, that stands at place `e` of a vector, as it is stored.
template <class Storage, int BOUNDS, class Frame>
DEVICE typename Storage::Stored rounded(typename Storage::Real x, int e, const Frame& law) {
    if constexpr (sizeof(typename Storage::Stored) == 8) {
        return bits(x);
    } else {
        const typename Storage::Real all[4] = {x, x, x, x};
        const u32 word = packed_word<Storage, BOUNDS>(all, law);
        return static_cast<typename Storage::Stored>(sizeof(typename Storage::Stored) == 2 && e % 2 ? word >> 16 : word);
    }
}
