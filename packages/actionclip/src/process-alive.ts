/** Whether a process of this machine is still there: what files that name their process are judged by. */
import { codeOf } from './data/errors.ts';

/** True also for a process of another user. */
export function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return codeOf(error) === 'EPERM';
  }
}
