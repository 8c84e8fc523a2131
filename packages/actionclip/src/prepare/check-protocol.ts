/** The messages between the pool that checks clips and its child processes. */
import type { CheckResult, ClipCheck } from './check-clip.ts';

/** To the child: check this clip. */
export interface CheckRequest {
  readonly id: number;
  readonly check: ClipCheck;
}

/** From the child: it has started; a result; or a fault that is not the clip's. */
export type CheckReply =
  | { readonly kind: 'ready' }
  | { readonly kind: 'result'; readonly id: number; readonly result: CheckResult }
  | { readonly kind: 'fault'; readonly id: number; readonly message: string };
