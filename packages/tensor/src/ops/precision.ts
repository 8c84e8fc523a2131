/** The precision of matrix products, chosen for a part of a computation while its graph is built. */
import { CaptureError } from '../errors.ts';

/**
 * Of the factors of a product: as they are, or rounded to half precision. Sums are in 32 bits either way, and so are
 * the results.
 */
export type ProductPrecision = 'single' | 'half';

let current: ProductPrecision = 'single';

/** The precision of matrix products that are made now. */
export const productPrecision = (): ProductPrecision => current;

/**
 * Runs `body` with mixed precision: the matrix products that it makes round their factors to half precision, which
 * hardware with units for that multiplies many times faster, and add up in 32 bits. All else stays in 32 bits. The
 * products of their gradients do the same, wherever those are asked for: incoming gradients below 2^-25 become 0, which
 * is what the loss is scaled for. `enabled: false` switches it off for a part of a larger body. Attention stays in 32
 * bits as a whole.
 *
 * After Micikevicius et al. 2018, "Mixed Precision Training"; named as in PyTorch. Throws CaptureError when `body` is
 * asynchronous: what it would do after its first `await` is outside.
 */
export function autocast<T>(body: () => T, { enabled = true }: { readonly enabled?: boolean } = {}): T {
  const before = current;
  current = enabled ? 'half' : 'single';
  try {
    const result = body();
    if (result instanceof Promise)
      throw new CaptureError(
        'autocast: the function is asynchronous',
        'build the graph in it, and await values outside',
      );
    return result;
  } finally {
    current = before;
  }
}
