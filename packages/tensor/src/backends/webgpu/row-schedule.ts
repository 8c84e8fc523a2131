/** How row kernels are spread over threads: by the length of their rows and by what of them is held in registers. */
import type { RowKernel } from '../../compile/kernel.ts';
import type { Expr } from '../../expr/expr.ts';
import { isVector, loadsAlong, type Width } from './strips.ts';
import type { Target } from './target.ts';
import { type Team, teamOf } from './team.ts';

export interface RowSchedule {
  readonly team: Team;
  /** Neighbouring elements that a thread takes at once. */
  readonly width: Width;
  /**
   * Strips of a row that each member holds in registers from one reduction to the next; 0 where the row is too long
   * for that, and every reduction reads it again.
   */
  readonly held: number;
  /** So many of them lie within the row whatever its length among those that have this schedule. */
  readonly whole: number;
  /** Where columns are folded, the parts that rows are dealt out in; 1 leaves no parts to a second shader. */
  readonly groups: number;
  /** Workgroups side by side along the columns: more than one only without stages. */
  readonly tiles: number;
}

/**
 * Strips that a member may hold. Few numbers, so that rows of many lengths share shaders: what a member holds too much
 * lies past the end of the row.
 */
const strips = [1, 2, 3, 4, 6, 8, 12, 16, 24, 32] as const;
/** Strips from which on a team is doubled instead, as far as it can be. */
const manyStrips = 8;
/** Loaded elements that a thread holds, of about 255 registers. */
const heldElements = 96;
/** Threads of a team: for short rows, and the subgroup of most devices for all others. */
const teams = { short: 8, usual: 32, most: 256 };
const workgroup = 128;
/** Members of a team that folds columns alone: neighbours that read whole sectors of memory. */
const columnTeam = 64;
/** Workgroups that fill a large device a few times, with and without rows held in registers. */
const mostGroups = { staged: 512, plain: 1024 };
/** Columns of so few rows are folded by one workgroup each. */
const fewRows = 64;

/** The terms that a row kernel computes for every element. */
export const elementTerms = ({ stages, columns, outputs }: RowKernel): Expr[] => [
  ...stages.map(({ body }) => body),
  ...columns.map(({ body }) => body),
  ...outputs.flatMap(({ per, value }) => (per === 'element' ? [value] : [])),
];

/** The width of a kernel's strips: four where rows divide into them and buffers hold any of them as one. */
export function stripWidth(kernel: RowKernel): Width {
  const loads = loadsAlong(elementTerms(kernel), 1);
  const vectors = loads.length === 0 || loads.some((load) => isVector(load, 1));
  return kernel.extent % 4 === 0 && vectors ? 4 : 1;
}

/** The schedule for a kernel's sizes. */
export function rowSchedule(kernel: RowKernel, target: Target): RowSchedule {
  return kernel.stages.length > 0 ? stagedSchedule(kernel, target) : columnSchedule(kernel, target);
}

function stagedSchedule(kernel: RowKernel, target: Target): RowSchedule {
  const { extent, rows, columns } = kernel;
  const width = stripWidth(kernel);
  const steps = extent / width;
  const loads = Math.max(1, loadsAlong(elementTerms(kernel), 1).length);
  const room = Math.max(1, Math.floor(heldElements / (width * (loads + columns.length))));
  // As few rows as one workgroup of usual teams takes gain nothing from short ones.
  let size = steps <= teams.short && rows > workgroup / teams.usual ? teams.short : teams.usual;
  while (size * Math.min(manyStrips, room) < steps && size < Math.min(teams.most, target.workgroupThreads)) size *= 2;
  const at = strips.findIndex((count) => count * size >= steps);
  const held = strips[at] ?? Math.ceil(steps / size);
  const team = teamFor(size, target);
  const waiting = Math.ceil((rows * size) / team.threads);
  // Sums of columns stay in registers, whatever else must leave them.
  const holds = (at >= 0 && held <= room) || columns.length > 0;
  return {
    width,
    team,
    held: holds ? held : 0,
    whole: at > 0 ? (strips[at - 1] as number) : 0,
    groups: columns.length === 0 || waiting <= 2 ? 1 : Math.min(waiting, mostGroups.staged),
    tiles: 1,
  };
}

function columnSchedule(kernel: RowKernel, target: Target): RowSchedule {
  const { extent, rows } = kernel;
  const width = stripWidth(kernel);
  const steps = extent / width;
  const size = steps <= teams.short ? teams.short : steps <= teams.usual ? teams.usual : columnTeam;
  const team = teamFor(size, target);
  const tiles = Math.ceil(steps / size);
  const waiting = Math.ceil((rows * size) / team.threads);
  const groups = rows <= fewRows ? 1 : Math.min(waiting, Math.ceil(mostGroups.plain / tiles));
  return { width, team, held: 1, whole: 0, groups, tiles };
}

function teamFor(size: number, target: Target): Team {
  const threads = Math.max(size, Math.min(workgroup, target.workgroupThreads), target.subgroups?.largest ?? 1);
  return teamOf(size, threads, target);
}
