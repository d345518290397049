// Rounding to the stored types, to nearest even, four values at a time or as many as a 32-bit word holds. The twin of
// kernels/narrow.py; where the GPU has an instruction for it, by that instruction. Values are finite and in range.
#pragma once

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

struct Float32 {
    typedef float Real;
    typedef u32 Stored;
    static DEVICE u32 pack(const float* x) { return bits(x[0]); }
};

struct Float64 {
    typedef double Real;
    typedef u64 Stored;
};

struct BFloat16 {
    typedef float Real;
    typedef u16 Stored;
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
};

struct Float16 {
    typedef float Real;
    typedef u16 Stored;
    static DEVICE u32 pack(const float* x) {
#if defined(__CUDA_ARCH__) && __CUDA_ARCH__ >= 800
        u32 pair;
        asm("cvt.rn.f16x2.f32 %0, %1, %2;" : "=r"(pair) : "f"(x[1]), "f"(x[0]));
        return pair;
#else
        return NarrowByBits<5, 10>::round(x[1]) << 16 | NarrowByBits<5, 10>::round(x[0]);
#endif
    }
};

struct Float8E4M3 {
    typedef float Real;
    typedef u8 Stored;
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

// What a vector of values becomes: `pack` word by word, float64 by halves.
template <class Storage>
DEVICE Vector packed(const typename Storage::Real* x) {
    constexpr int PER_WORD = 4 / static_cast<int>(sizeof(typename Storage::Stored));
    Vector vector;
#pragma unroll
    for (int w = 0; w < 4; ++w) vector.word[w] = Storage::pack(x + w * PER_WORD);
    return vector;
}

template <>
DEVICE Vector packed<Float64>(const double* x) {
    Vector vector;
#pragma unroll
    for (int e = 0; e < 2; ++e) {
        vector.word[2 * e] = static_cast<u32>(bits(x[e]));
        vector.word[2 * e + 1] = static_cast<u32>(bits(x[e]) >> 32);
    }
    return vector;
}

// One value as it is stored.
template <class Storage>
DEVICE typename Storage::Stored rounded(typename Storage::Real x) {
    const typename Storage::Real alone[4] = {x};
    return static_cast<typename Storage::Stored>(Storage::pack(alone));
}

template <>
DEVICE u64 rounded<Float64>(double x) {
    return bits(x);
}
