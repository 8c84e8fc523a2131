/** Calibration as rows of text: the same for the terminal and for pages. */
import { CALIBRATION_BINS, type Calibration, calibrationOf, type ReliabilityBin } from './calibration.ts';
import type { Evaluation } from './evaluate.ts';
import { type FigureTable, percent } from './figures.ts';

/** Figures of calibration, and the clips by the confidence of their prediction. */
export function calibrationTables({ scores, labels }: Pick<Evaluation, 'scores' | 'labels'>): FigureTable[] {
  const calibration = calibrationOf(scores, labels);
  return [figures(calibration), reliabilityTable(calibration.equalWidth.bins)];
}

const number = (value: number): string => (Number.isNaN(value) ? '–' : value.toFixed(3));

function figures({ equalWidth, equalCount, ...other }: Calibration): FigureTable {
  return {
    title: 'Calibration',
    columns: ['', 'value'],
    rows: [
      [`calibration error, ${CALIBRATION_BINS} bins of equal width`, percent(equalWidth.expectedCalibrationError)],
      [
        `calibration error, ${equalCount.bins.length} bins of equal counts`,
        percent(equalCount.expectedCalibrationError),
      ],
      ['negative log-likelihood', number(other.negativeLogLikelihood)],
      ['Brier score (0 to 2)', number(other.brierScore)],
      ['best temperature on these clips', number(other.bestTemperature)],
      ['negative log-likelihood at it', number(other.bestNegativeLogLikelihood)],
    ],
  };
}

/** Bins with clips. */
const reliabilityTable = (bins: readonly ReliabilityBin[]): FigureTable => ({
  title: 'Reliability',
  columns: ['confidence', 'clips', 'mean confidence', 'right'],
  rows: bins
    .filter(({ clips }) => clips > 0)
    .map(({ from, to, clips, confidence, accuracy }) => [
      `${(100 * from).toFixed(0)} to ${(100 * to).toFixed(0)} %`,
      String(clips),
      percent(confidence),
      percent(accuracy),
    ]),
});
