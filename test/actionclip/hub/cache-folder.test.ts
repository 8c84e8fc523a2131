import { resolve } from 'node:path';
import { expect, test } from 'vitest';
import { cacheFolder } from '../../../packages/actionclip/src/cache-folder.ts';

test('the cache folder is the own one, else in the place of the system', () => {
  expect(cacheFolder({ HOME: '/home/me', ACTIONCLIP_CACHE: '/own' }, 'linux')).toBe('/own');
  expect(cacheFolder({ HOME: '/home/me', ACTIONCLIP_CACHE: '' }, 'linux')).toBe('/home/me/.cache/actionclip');
  expect(cacheFolder({ HOME: '/home/me', XDG_CACHE_HOME: '/fast' }, 'linux')).toBe('/fast/actionclip');
  expect(cacheFolder({ HOME: '/Users/me' }, 'darwin')).toBe('/Users/me/Library/Caches/actionclip');
});

test('a relative cache folder is made absolute', () => {
  expect(cacheFolder({ ACTIONCLIP_CACHE: 'own' }, 'linux')).toBe(resolve('own'));
});

test('without a home the error says what to set', () => {
  expect(() => cacheFolder({}, 'linux')).toThrow('set ACTIONCLIP_CACHE');
});
