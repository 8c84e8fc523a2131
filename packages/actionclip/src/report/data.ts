/** What a report shows, as plain data. Whoever evaluates fills it; `renderReport` turns it into one HTML page. */

export interface ReportData {
  readonly title: string;
  readonly subtitle?: string;
  /** The few numbers that matter, in large type. */
  readonly summary: readonly SummaryFigure[];
  readonly curves: readonly CurveChart[];
  /** Zero-shot results, comparisons of models, per-class accuracies. */
  readonly tables: readonly ReportTable[];
  readonly confusion?: ConfusionData;
  /** Clips with the model's best guesses, the most certain first; the report sorts them into right and wrong ones. */
  readonly clips: readonly Filmstrip[];
  readonly run: RunDescription;
}

export interface SummaryFigure {
  readonly label: string;
  /** As it is to be read: `94.2 %`. */
  readonly value: string;
  /** Small print: chance level, number of clips. */
  readonly note?: string;
}

export interface CurveChart {
  readonly title: string;
  readonly xLabel: string;
  /** What the x axis covers, so that charts can be compared; the points of this chart unless told. */
  readonly xDomain?: readonly [from: number, to: number];
  readonly yLabel: string;
  readonly series: readonly CurveSeries[];
  /** Values from 0 to 1 are shown as percent, on an axis from 0 to 100. */
  readonly percent?: boolean;
  readonly logarithmic?: boolean;
}

export interface CurveSeries {
  readonly name: string;
  /** Points with a value that is no finite number leave a gap. */
  readonly points: readonly { readonly x: number; readonly y: number }[];
}

export interface ReportTable {
  readonly title: string;
  readonly note?: string;
  readonly columns: readonly string[];
  /** Numbers are set right; texts left. A row has as many cells as there are columns. */
  readonly rows: readonly (readonly (string | number)[])[];
}

export interface ConfusionData {
  readonly labels: readonly string[];
  /** Counts [true class, predicted class], row-major. */
  readonly counts: ArrayLike<number>;
  readonly note?: string;
}

export interface Filmstrip {
  readonly frames: readonly ReportImage[];
  readonly label: string;
  /** The other classes of a clip that has several. */
  readonly otherLabels?: readonly string[];
  /** Best first; the first three are shown. */
  readonly predictions: readonly { readonly label: string; readonly probability: number }[];
  readonly source?: string;
  /** The frames again, lit where the class token of the image tower attends. */
  readonly attention?: readonly ReportImage[];
  /** How near each frame is to the label and to what the clip was taken for. */
  readonly similarities?: readonly FrameSimilarity[];
}

/** The cosine of every frame with one label. */
export interface FrameSimilarity {
  readonly name: string;
  readonly values: readonly number[];
}

export interface ReportImage {
  readonly type: 'image/jpeg' | 'image/png' | 'image/webp';
  readonly bytes: Uint8Array;
}

export interface RunDescription {
  /** Machine, device, versions, seeds, times: name and value. */
  readonly facts: readonly (readonly [name: string, value: string])[];
  /** The configuration as text. */
  readonly configuration?: string;
}

/** Data that no report can be made of, such as a matrix whose size does not fit its labels. */
export class ReportError extends Error {
  override readonly name = 'ReportError';
  readonly hint: string;

  constructor(problem: string, hint: string) {
    super(`${problem}; ${hint}`);
    this.hint = hint;
  }
}
