/** The public API of the transformer package. */
export * from './attention.ts';
export * from './block.ts';
export * from './clip.ts';
export * from './lora.ts';
export * from './sizes.ts';
export * from './vision-transformer.ts';
