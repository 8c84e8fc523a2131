import { readdirSync, readFileSync } from 'node:fs';
import { describe, expect, it } from 'vitest';
import { BEHAVIOURS } from '../../../packages/actionclip/src/train/config.ts';
import { parseConfig } from '../../../packages/actionclip/src/train/config-file.ts';
import { IGNORED_KEYS } from '../../../packages/actionclip/src/train/config-schema.ts';

const FOLDER = new URL('../../../../shared/fixtures/configs/', import.meta.url);
const official = (name: string): string => readFileSync(new URL(name, FOLDER), 'utf8');
const names = readdirSync(FOLDER).filter((name) => name.endsWith('.yaml'));

/** Keys that the released train.py and test.py never read, and that nothing here reads either, by kind of file. */
const everywhere = ['data.modality', 'data.seg_length', 'data.num_classes'];
const remarks = ['network.type', 'network.describe', 'logging.print_freq'];
const unreadSolver = ['solver.epoch_offset', 'solver.clip_gradient', 'solver.loss_type'];
const misplaced = ['network.ratio', 'network.f_ratio'];
const unread: Readonly<Record<string, readonly string[]>> = {
  'k400_train.yaml': [...everywhere, ...remarks, ...unreadSolver],
  'k400_test.yaml': [
    ...everywhere,
    'data.split',
    'data.gpus',
    ...remarks,
    ...misplaced,
    'network.bn_momentum',
    'network.consensus_type',
  ],
  'k400_zero_shot.yaml': [...everywhere, 'data.split', ...remarks, ...misplaced],
  'hmdb_train.yaml': [...everywhere, 'data.split', 'data.gpus', ...remarks, ...unreadSolver],
  'hmdb_test.yaml': [...everywhere, 'data.split', ...remarks],
  'hmdb_zero_shot.yaml': [...everywhere, 'data.split', ...remarks],
  'ucf_train.yaml': [...everywhere, 'data.split', 'data.gpus', ...remarks, ...unreadSolver],
  'ucf_test.yaml': [...everywhere, 'data.split', ...remarks],
  'ucf_zero_shot.yaml': [...everywhere, 'data.split', ...remarks],
};
const isTraining = (name: string): boolean => name.endsWith('_train.yaml');
/** Files for test.py that name no checkpoint of an ActionCLIP, so that the head of frames is untrained. */
const untrained = names.filter((name) => !isTraining(name) && name !== 'ucf_test.yaml');

describe.each(names)('%s', (name) => {
  it('warns of every key that nothing reads, with the reason, once, and of nothing else', () => {
    const { warnings } = parseConfig(official(name), name);
    const expected = (unread[name] ?? []).map((key) => `${key} is ignored: ${IGNORED_KEYS[key]}`);
    const others = warnings.filter((warning) => !expected.includes(warning));
    expect(warnings.filter((warning) => expected.includes(warning)).toSorted()).toEqual(expected.toSorted());
    expect(others.map((warning) => warning.slice(0, 35))).toEqual(
      untrained.includes(name) ? ['network.sim_header is Transf but th'] : [],
    );
  });

  it('trains or evaluates as its name says', () => {
    const { config } = parseConfig(official(name), name);
    expect(config.evaluateOnly).toBe(!isTraining(name));
    expect(config.solver.startEpoch).toBe(0);
  });

  it('has the released behaviour in every switch where it is asked for', () => {
    const { config, warnings } = parseConfig(official(name), name, { compatibility: 'released' });
    expect(config.behaviour).toEqual(BEHAVIOURS.released);
    expect(config.data.randomShift).toBe(name === 'k400_train.yaml');
    expect(warnings).toEqual(parseConfig(official(name), name).warnings);
  });
});

describe('keys that the released training does not read, but this one does', () => {
  const train = (overrides: Record<string, unknown>) =>
    parseConfig(official('hmdb_train.yaml'), 'hmdb_train.yaml', overrides);
  const overruled = (warnings: readonly string[]) => warnings.filter((warning) => warning.includes('behaviour.'));
  const frozen = { network: { fix_img: true } };
  const factor = { solver: { type: 'multistep', lr_decay_factor: 0.5 } };

  it('freeze the image tower and set the factor of the multistep schedule', () => {
    expect(train(frozen).config.network.freezeImage).toBe(true);
    expect(train(factor).config.solver).toMatchObject({ decayFactor: 0.5, milestones: [15, 30, 45] });
    expect(overruled([...train(frozen).warnings, ...train(factor).warnings])).toEqual([]);
  });

  it('do nothing in the released behaviour, which is told with the way out', () => {
    const released = { compatibility: 'released' };
    expect(train({ ...released, ...frozen }).config.network.freezeImage).toBe(false);
    expect(train({ ...released, ...factor }).config.solver.decayFactor).toBe(0.1);
    expect(overruled(train({ ...released, ...frozen, ...factor }).warnings)).toEqual([
      'network.fix_img is ignored: the released training does so; set behaviour.ignore_fix_img to false to freeze',
      'solver.lr_decay_factor is ignored: the released schedule always takes 0.1; set behaviour.fixed_decay_factor to false for 0.5',
    ]);
    const mended = { behaviour: { ignore_fix_img: false, fixed_decay_factor: false } };
    const { config, warnings } = train({ ...released, ...mended, ...frozen, ...factor });
    expect([config.network.freezeImage, config.solver.decayFactor, overruled(warnings)]).toEqual([true, 0.5, []]);
  });

  it('name an epoch to start from, before the last', () => {
    expect(train({ solver: { start_epoch: 7 } }).config.solver.startEpoch).toBe(7);
    expect(() => train({ solver: { start_epoch: 50 } })).toThrow(/start_epoch: 50 is not before the last of 50/);
  });
});
