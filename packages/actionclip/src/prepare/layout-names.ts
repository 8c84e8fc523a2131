/** The names of the layouts of data sets, as they are given on the command line. */

export const datasetLayoutNames = ['classes', 'kinetics', 'ucf101', 'hmdb51', 'something', 'table'] as const;
export type DatasetLayoutName = (typeof datasetLayoutNames)[number];
