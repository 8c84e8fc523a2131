/** What this browser lacks, in sentences for a person. */

export interface Support {
  /** Why nothing can be computed here at all; undefined where it can. */
  readonly fatal: string | undefined;
  /** What works less well. */
  readonly notices: readonly string[];
}

/** An empty WebAssembly module with one function that makes a vector of 128 bits. */
const vectorModule = [
  0, 97, 115, 109, 1, 0, 0, 0, 1, 5, 1, 96, 0, 1, 123, 3, 2, 1, 0, 10, 10, 1, 8, 0, 65, 0, 253, 15, 253, 98, 11,
];

/** Looks at what the browser offers to this page. */
export function supportHere(scope: typeof globalThis = globalThis): Support {
  if (typeof scope.WebAssembly === 'undefined' || !scope.WebAssembly.validate(Uint8Array.from(vectorModule))) {
    return {
      fatal: 'This browser has no WebAssembly with 128-bit vectors. Use a current Chrome, Edge, Firefox or Safari.',
      notices: [],
    };
  }
  const notices: string[] = [];
  if (!scope.isSecureContext) {
    notices.push('This page was not loaded over https or from localhost, so the browser gives it no video decoder.');
  } else if (!('VideoDecoder' in scope)) {
    notices.push('This browser has no WebCodecs: videos cannot be decoded here, pictures may be.');
  }
  if (!scope.crossOriginIsolated) {
    notices.push(
      'This page is not isolated from others yet, so one thread computes. After a reload there may be more.',
    );
  }
  return { fatal: undefined, notices };
}
