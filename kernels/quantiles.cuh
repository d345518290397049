// The standard quantile functions: a word of the stream in, a standard value out. The twin of kernels/quantiles.py, whose
// text explains the method; the same operations in the same order, so the same bits.
//
// Each quantile has the parts `depth`, `central` and, where HAS_TAIL, `tail` for words deeper than `limit`. The polynomials
// (F32_.., F64_..) are macros that kernels/cuda_source.py writes from kernels/coefficients.py.
#pragma once

template <class Real>
struct Law {
    Real scale, location[2], low_even, high_even, low_odd, high_odd;
    Real c[7];
    typename Format<Real>::Word k[3], fraction;  // `fraction` masks a float's fraction: as a number here it costs nothing

    DEVICE Real limit() const { return c[5]; }
};

// The fraction of y > 0 about its middle, in [-0.5, 0.5).
template <class Real>
DEVICE Real fraction_of(Real y, const Law<Real>& law) {
    return unbits((bits(y) & law.fraction) | Format<Real>::ONE_BITS) - static_cast<Real>(1.5);
}

// -log(y) for normal y > 0.
template <class Real>
DEVICE Real negative_log(Real y, const Law<Real>& law) {
    typedef Format<Real> F;
    return fused(to_float(F::ONE_BITS - bits(y)), F::log_unit(), F::negative_log_polynomial(fraction_of(y, law)));
}

template <class Real>
DEVICE Real with_sign(Real z, typename Format<Real>::Word sign) {
    return unbits(bits(z) ^ sign);
}

// The z > 3.2 whose upper tail probability is exp(-t), by two Newton steps.
template <class Real>
DEVICE Real mills_tail(Real t, const Law<Real>& law) {
    typedef Format<Real> F;
    const Real one = static_cast<Real>(1), two = static_cast<Real>(2), zero = static_cast<Real>(0);
    const Real k = fused(two, t, F::minus_log_two_pi());
    const Real rest = fused(two, t, zero - k) + F::minus_log_two_pi();
    const Real log_k = zero - negative_log(k, law);
    Real y = (k - log_k) + (log_k + F::start_0()) / fused(F::start_1(), log_k, k + F::start_2());
#pragma unroll
    for (int step = 0; step < 2; ++step) {
        const Real s = one / y;
        const Real g = s * F::mills_polynomial(s);
        const Real excess = ((y - k) - rest) - fused(two, g, negative_log(y, law));
        y = fused(zero - excess, F::exponential_polynomial(g), y);
    }
    return square_root(y);
}

// Uniform on the integers 0 .. 2^24 - 1 (2^53 - 1).
struct Unit {
    static constexpr bool HAS_TAIL = false;

    template <class Real, class Word>
    static DEVICE Real depth(Word, const Law<Real>&) {
        return static_cast<Real>(1);
    }
    template <class Real, class Word>
    static DEVICE Real central(Word word, Real, const Law<Real>&) {
        return to_float(word >> Format<Real>::UNIT_SHIFT);
    }
    template <class Real, class Word>
    static DEVICE Real tail(Word word, Real depth, const Law<Real>& law) {
        return central(word, depth, law);
    }
};

// Normal, and normal truncated at +-bound.
struct Symmetric {
    static constexpr bool HAS_TAIL = true;

    template <class Real, class Word>
    static DEVICE Real x(Word word, const Law<Real>& law) {
        return fused(to_float(~word & Format<Real>::MAGNITUDE), law.c[0], law.c[2]);
    }
    template <class Real, class Word>
    static DEVICE Real twice_p(Word word, const Law<Real>& law) {
        return fused(to_float(word & Format<Real>::MAGNITUDE), law.c[0], law.c[1]);
    }
    template <class Real, class Word>
    static DEVICE Real depth(Word word, const Law<Real>& law) {
        const Real p = twice_p(word, law);
        return negative_log(fused(p, x(word, law), p), law);
    }
    template <class Real, class Word>
    static DEVICE Real central(Word word, Real depth, const Law<Real>& law) {
        return with_sign(x(word, law) * Format<Real>::central_polynomial(depth), word & Format<Real>::SIGN);
    }
    template <class Word>
    static DEVICE float tail(Word word, float depth, const Law<float>& law) {
        return with_sign(x(word, law) * Format<float>::tail_polynomial(depth), word & Format<float>::SIGN);
    }
    template <class Word>
    static DEVICE double tail(Word word, double, const Law<double>& law) {
        const double t = negative_log(twice_p(word, law), law) + Format<double>::log_2();
        return with_sign(mills_tail(t, law), word & Format<double>::SIGN);
    }
};

// Normal truncated at +-2: shorter polynomials, no value in the tail, all constants fixed.
struct Shallow {
    static constexpr bool HAS_TAIL = false;

    template <class Real, class Word>
    static DEVICE Real depth(Word, const Law<Real>&) {
        return static_cast<Real>(1);
    }
    template <class Word>
    static DEVICE float central(Word word, float, const Law<float>& law) {
        typedef Format<float> F;
        const float t = fused(to_float(word), 0x1p-31f, 0x1p-32f);
        const float half = F::shallow_half(magnitude(to_float(word ^ F::SIGN)));
        const float y = fused(-half, half, half);
        const float linear = to_float(F::SHALLOW_ORIGIN - bits(y));
        return t * F::shallow_polynomial(fused(linear, F::log_unit(), F::short_log_polynomial(fraction_of(y, law))));
    }
};

// Truncated to any interval [a, b]; law.k = (pivot, mirror, -pivot).
struct Interval {
    static constexpr bool HAS_TAIL = true;

    template <class Real, class Word>
    static DEVICE Real twice_p(Word word, const Law<Real>& law) {
        const Word v = word ^ law.k[1];
        const bool above = v >= law.k[0];
        return fused(to_float_unsigned(above ? ~v : v), law.c[0], above ? law.c[3] : law.c[4]);
    }
    template <class Real, class Word>
    static DEVICE Real x(Word word, const Law<Real>& law) {
        const Word v = word ^ law.k[1], up = v + law.k[2];
        const bool above = v >= law.k[0];
        return fused(to_float_unsigned(above ? up : ~up), law.c[0], above ? law.c[1] : law.c[2]);
    }
    template <class Real, class Word>
    static DEVICE Word sign(Word word, const Law<Real>& law) {
        const Word below = (word ^ law.k[1]) >= law.k[0] ? 0 : Format<Real>::SIGN;
        return below ^ (law.k[1] & Format<Real>::SIGN);
    }
    template <class Real, class Word>
    static DEVICE Real depth(Word word, const Law<Real>& law) {
        const Real p = twice_p(word, law);
        return negative_log(fused(p, x(word, law), p), law);
    }
    template <class Real, class Word>
    static DEVICE Real central(Word word, Real depth, const Law<Real>& law) {
        return with_sign(x(word, law) * Format<Real>::central_polynomial(depth), sign(word, law));
    }
    template <class Real, class Word>
    static DEVICE Real tail(Word word, Real, const Law<Real>& law) {
        return with_sign(mills_tail(negative_log(twice_p(word, law), law) + law.c[6], law), sign(word, law));
    }
};
