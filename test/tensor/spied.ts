/** The reference backend with a choice of templates, and what it is asked to compile. */
import { Device } from '@actionclip/tensor';
import type { Template } from '../../packages/tensor/src/backends/backend.ts';
import { createReferenceBackend } from '../../packages/tensor/src/backends/reference/backend.ts';
import type { Program } from '../../packages/tensor/src/compile/kernel.ts';

/** A reference device with these templates, and the programs that it has compiled. */
export function spied(templates: readonly Template[]): { device: Device; programs: Program[] } {
  const backend = createReferenceBackend();
  const programs: Program[] = [];
  const watched = Object.create(backend, {
    limits: { value: { ...backend.limits, templates: new Set(templates) } },
    compile: {
      value: (program: Program) => {
        programs.push(program);
        return backend.compile(program);
      },
    },
  });
  return { device: new Device('reference', async () => watched), programs };
}
