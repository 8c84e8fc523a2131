// network.adapter and its sections: defaults, what they freeze, and what does not go together.
import { describe, expect, it } from 'vitest';
import { checkTogether } from '../../../packages/actionclip/src/cli/commands/train.ts';
import { OptionError } from '../../../packages/actionclip/src/cli/options.ts';
import { networkOf as networkOfOptions } from '../../../packages/actionclip/src/runs/options.ts';
import { ConfigError, configFrom } from '../../../packages/actionclip/src/train/config-file.ts';

const resolved = (network: Record<string, unknown>) => configFrom({ data: { label_list: 'labels.csv' }, network });
const networkOf = (network: Record<string, unknown>) => resolved(network).config.network;

describe('network.adapter', () => {
  it('is none unless told', () => {
    expect(networkOf({}).adapter).toBeUndefined();
    expect(networkOf({ adapter: 'none' })).toEqual(networkOf({}));
  });

  it('lora has a rank of 8, twice that as alpha, and is in the attention of both towers, unless told', () => {
    expect(networkOf({ adapter: 'lora' })).toMatchObject({
      adapter: { kind: 'lora', rank: 8, alpha: 16, layers: ['in_proj', 'out_proj'], towers: ['image', 'text'] },
      freezeText: false,
      freezeImage: false,
    });
    const lora = { rank: 4, alpha: 2, layers: ['c_proj', 'in_proj'], towers: ['text'] };
    expect(networkOf({ adapter: 'lora', lora })).toMatchObject({
      adapter: { kind: 'lora', rank: 4, alpha: 2, layers: ['in_proj', 'c_proj'], towers: ['text'] },
      freezeText: false,
      freezeImage: true,
    });
  });

  it('st-adapter has the 384 channels of the released code unless told, and freezes the text tower', () => {
    expect(networkOf({ adapter: 'st-adapter' })).toMatchObject({
      adapter: { kind: 'st-adapter', channels: 384 },
      freezeText: true,
      freezeImage: false,
    });
    expect(networkOf({ adapter: 'st-adapter', st_adapter: { channels: 16 } }).adapter).toEqual({
      kind: 'st-adapter',
      channels: 16,
    });
  });

  it.each([
    [{ adapter: 'lora', fix_text: true }, 'adapters of the text tower would not be trained, as fix_text or train_only'],
    [{ adapter: 'lora', train_only: 'temporal' }, 'adapters of the image tower would not be trained'],
    [{ adapter: 'st-adapter', fix_img: true }, 'adapters of the image tower would not be trained, as fix_img'],
    [{ adapter: 'st-adapter', tsm: true }, 'st-adapter does not go with tsm'],
    [{ adapter: 'st-adapter', joint: true, sim_header: 'meanP' }, 'st-adapter does not go with joint'],
    [{ adapter: 'lora', lora: { rank: 0 } }, 'network.lora.rank'],
    [{ adapter: 'lora', lora: { layers: [] } }, 'network.lora.layers'],
    [{ adapter: 'lora', lora: { layers: ['ln_1'] } }, 'network.lora.layers'],
    [{ adapter: 'lora', lora: { rnk: 2 } }, 'did you mean rank?'],
    [{ adapter: 'lorra' }, 'network.adapter'],
  ])('%j is refused by name', (network, message) => {
    expect(() => networkOf(network)).toThrow(ConfigError);
    expect(() => networkOf(network)).toThrow(message);
  });

  it('warns of a section about an adapter that is not chosen', () => {
    expect(resolved({ lora: { rank: 2 } }).warnings).toEqual([
      'network.lora is ignored: network.adapter is none; set it to lora',
    ]);
    expect(resolved({ adapter: 'lora', lora: { rank: 2 } }).warnings).toEqual([]);
  });
});

describe('--adapter', () => {
  const known = { kind: 'lora', rank: 2, alpha: 1, layers: ['c_fc'], towers: ['text'] } as const;
  const { kind: _, ...settings } = known;

  it('takes its size from --adapter-size, or its settings from what the run starts from', () => {
    expect(networkOfOptions({}, known)).toEqual({});
    expect(networkOfOptions({ adapter: 'lora' })).toEqual({ adapter: 'lora' });
    expect(networkOfOptions({ adapter: 'lora' }, known)).toEqual({ adapter: 'lora', lora: settings });
    expect(networkOfOptions({ adapter: 'lora', adapterSize: 4 }, known)).toEqual({
      adapter: 'lora',
      lora: { rank: 4 },
    });
    expect(networkOfOptions({ adapter: 'st-adapter', adapterSize: 4 }, known)).toEqual({
      adapter: 'st-adapter',
      st_adapter: { channels: 4 },
    });
    expect(networkOf(networkOfOptions({ adapter: 'lora' }, known)).adapter).toEqual(known);
  });

  it.each([
    [{ adapter: 'lora', clipsTable: 'clips.csv' }, '--adapter leaves the towers as they are'],
    [{ adapterSize: 2 }, '--adapter-size needs --adapter'],
  ] as const)('is refused where it makes no sense: %j', (options, message) => {
    expect(() => checkTogether(options)).toThrow(OptionError);
    expect(() => checkTogether(options)).toThrow(message);
    expect(() =>
      checkTogether({ ...options, adapter: 'lora', init: 'hub:ViT-B/16', clipsTable: 'clips.csv' }),
    ).not.toThrow();
  });
});
