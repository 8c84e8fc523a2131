import { fileURLToPath } from 'node:url';
import { type Device, openDevice, setDefaultDevice } from '@actionclip/tensor';
import { openCheckpointModel } from 'actionclip';
import { afterAll, beforeAll, describe, expect, it } from 'vitest';
import { caseNames, floats, integers, largestError, readCase } from '../../golden/fixtures.ts';

const fixture = (path: string): string =>
  fileURLToPath(new URL(`../../../../shared/fixtures/model/${path}`, import.meta.url));

let device: Device;
beforeAll(async () => {
  device = await openDevice('wasm', { threads: 1 });
  setDefaultDevice(device);
});
afterAll(() => device.close());

describe('the model of a checkpoint', () => {
  it.each(caseNames)("gives PyTorch's logits in the case %s, everything read off the file", async (name) => {
    const golden = await readCase(name);
    const { frames, temporal, tsm, joint } = golden.description;
    const opened = await openCheckpointModel(
      fixture(`${name}/checkpoint.pt`),
      temporal === 'Transf_cls' || joint ? {} : { frames },
    );
    expect(opened.description).toMatchObject({ frames, temporal, shift: tsm, joint });
    expect(opened.untrained).toEqual([]);
    const logits = await opened.model.forward(floats(golden.frames), integers(golden.tokens)).data();
    const expected = golden.expected.get('logits_per_video');
    expect(expected && largestError(logits, expected)).toBeLessThan(1e-4);
  });
});
