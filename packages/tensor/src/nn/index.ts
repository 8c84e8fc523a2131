export * from './convolution.ts';
export * from './init.ts';
export * from './layers.ts';
export * from './low-rank.ts';
export * from './module.ts';
export * from './recurrent.ts';
