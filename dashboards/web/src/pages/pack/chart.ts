/** One uPlot chart: lines with min/max bands, holes, ceilings and alert marks over a window that others choose. */

import uPlot from "uplot";

import type { Column } from "../../core/series";
import type { Window } from "../../core/timerange";

export interface ChartLine {
  readonly label: string;
  /** A CSS colour, resolved. */
  readonly colour: string;
  readonly dashed: boolean;
  readonly mean: Column;
  /** The band; null where every bucket is one sample, or none is wanted. */
  readonly band: { readonly min: Column; readonly max: Column } | null;
}

/** Something that happened at a time: a line down the chart with a flag. */
export interface ChartMark {
  readonly at_ms: number;
  /** Of the line down the chart. */
  readonly line: string;
  /** Of the flag. */
  readonly fill: string;
  /** Of the text on the flag. */
  readonly ink: string;
  readonly text: string;
}

/** A value that means something: a dashed line across. */
export interface ChartCeiling {
  readonly value: number;
  readonly colour: string;
  readonly text: string;
}

/** A stretch of time with a meaning: a bar along the top of the chart, named where there is room. */
export interface ChartRun {
  readonly from_ms: number;
  readonly to_ms: number;
  readonly fill: string;
  readonly ink: string;
  readonly text: string;
}

export interface ChartPaint {
  readonly ink: string;
  readonly muted: string;
  readonly grid: string;
}

export interface ChartContent {
  readonly times_s: readonly number[];
  readonly lines: readonly ChartLine[];
  readonly window: Window;
  readonly marks: readonly ChartMark[];
  readonly ceilings: readonly ChartCeiling[];
  readonly runs?: readonly ChartRun[];
  readonly paint: ChartPaint;
  /** Digits after the point on the value axis. */
  readonly digits: number;
  /** The least height of the value axis: noise must not look like a mountain. */
  readonly flattest: number;
}

export interface ChartEvents {
  /** A person dragged over a stretch of time. */
  readonly onzoom: (window: Window) => void;
  readonly onreset: () => void;
  /** The bucket under the pointer; null when it left. */
  readonly oncursor: (index: number | null) => void;
}

const FONT = "12px system-ui, sans-serif";
/** A drag shorter than this is a click with a trembling hand. */
const SHORTEST_DRAG_PX = 6;

/** Draws into a box, and again whenever `show` is called; `resize` follows the box. */
export class Chart {
  #plot: uPlot | null = null;
  #structure = "";
  #content: ChartContent | null = null;

  constructor(
    private readonly box: HTMLElement,
    private readonly cursorKey: string,
    private readonly events: ChartEvents,
  ) {}

  show(content: ChartContent): void {
    this.#content = content;
    // uPlot changes values in place, but not which series there are, nor their colours.
    const structure = JSON.stringify([
      content.lines.map((l) => [l.label, l.colour, l.band !== null]),
      content.paint,
    ]);
    if (this.#plot === null || structure !== this.#structure) {
      this.#structure = structure;
      this.#plot?.destroy();
      this.#plot = new uPlot(this.#options(content), aligned(content), this.box);
    } else {
      this.#plot.batch(() => {
        this.#plot?.setData(aligned(content), false);
        this.#plot?.setScale("x", { min: content.window.from_ms / 1000, max: content.window.to_ms / 1000 });
      });
    }
  }

  resize(width: number, height: number): void {
    if (width > 0 && height > 0) this.#plot?.setSize({ width, height });
  }

  destroy(): void {
    this.#plot?.destroy();
    this.#plot = null;
  }

  #options(content: ChartContent): uPlot.Options {
    const { paint } = content;
    const axis: uPlot.Axis = {
      stroke: paint.muted,
      font: FONT,
      grid: { stroke: paint.grid, width: 1 },
      ticks: { stroke: paint.grid, width: 1 },
    };
    return {
      width: Math.max(200, this.box.clientWidth),
      height: Math.max(120, this.box.clientHeight),
      legend: { show: false },
      cursor: {
        y: false,
        sync: { key: this.cursorKey },
        points: { size: 6 },
        drag: { x: true, y: false, setScale: false, dist: SHORTEST_DRAG_PX },
        bind: {
          dblclick: () => () => {
            this.events.onreset();
            return null;
          },
        },
      },
      scales: {
        x: {
          time: true,
          auto: false,
          range: () => {
            const window = this.#content?.window ?? content.window;
            return [window.from_ms / 1000, window.to_ms / 1000];
          },
        },
        y: { range: (_plot, low, high) => padded(low, high, this.#content?.flattest ?? content.flattest) },
      },
      axes: [
        { ...axis, space: 70, values: TIME_LABELS },
        {
          ...axis,
          size: 58,
          values: (_plot, values) => values.map((v) => v.toFixed(digitsFor(values, content.digits))),
        },
      ],
      series: [{}, ...content.lines.flatMap((line) => seriesOf(line))],
      bands: bandsOf(content.lines),
      hooks: {
        draw: [(plot) => this.#drawOver(plot)],
        setSelect: [(plot) => this.#selected(plot)],
        setCursor: [(plot) => this.events.oncursor(plot.cursor.idx ?? null)],
      },
    };
  }

  #selected(plot: uPlot): void {
    const { left, width } = plot.select;
    if (width < SHORTEST_DRAG_PX) return;
    const window = {
      from_ms: plot.posToVal(left, "x") * 1000,
      to_ms: plot.posToVal(left + width, "x") * 1000,
    };
    plot.setSelect({ left: 0, top: 0, width: 0, height: 0 }, false);
    this.events.onzoom(window);
  }

  #drawOver(plot: uPlot): void {
    const content = this.#content;
    if (content === null) return;
    const { ctx, bbox } = plot;
    const ratio = uPlot.pxRatio;
    ctx.save();
    ctx.beginPath();
    ctx.rect(bbox.left, bbox.top, bbox.width, bbox.height);
    ctx.clip();
    ctx.font = `${11 * ratio}px system-ui, sans-serif`;
    ctx.textBaseline = "top";
    ctx.textAlign = "left";
    content.ceilings.forEach((ceiling, i) => {
      const y = plot.valToPos(ceiling.value, "y", true);
      stroke(ctx, ceiling.colour, ratio, [6, 5], [bbox.left, y, bbox.left + bbox.width, y]);
      ctx.fillStyle = ceiling.colour;
      // The lowest is named below its line, the others above theirs: near each other they stay readable.
      ctx.fillText(ceiling.text, bbox.left + 5 * ratio, y + (i === 0 ? 3 : -14) * ratio);
    });
    for (const run of content.runs ?? []) {
      const left = Math.max(bbox.left, plot.valToPos(run.from_ms / 1000, "x", true));
      const right = Math.min(bbox.left + bbox.width, plot.valToPos(run.to_ms / 1000, "x", true));
      const width = Math.max(right - left, 2 * ratio);
      const { top } = bbox;
      ctx.fillStyle = run.fill;
      ctx.fillRect(left, top, width, 16 * ratio);
      ctx.fillStyle = run.ink;
      if (ctx.measureText(run.text).width + 8 * ratio < width)
        ctx.fillText(run.text, left + 4 * ratio, top + 3 * ratio);
    }
    const rowEnds: number[] = [];
    for (const mark of content.marks.toSorted((a, b) => a.at_ms - b.at_ms)) {
      const x = plot.valToPos(mark.at_ms / 1000, "x", true);
      stroke(ctx, mark.line, ratio, [], [x, bbox.top, x, bbox.top + bbox.height]);
      const width = ctx.measureText(mark.text).width + 8 * ratio;
      // A flag near the right edge hangs to the left, or it could not be read.
      const left = x + width > bbox.left + bbox.width ? x - width : x;
      const row = freeRow(rowEnds, left, left + width);
      const top = bbox.top + (row + (content.runs?.length ? 1 : 0)) * 17 * ratio;
      ctx.fillStyle = mark.fill;
      ctx.fillRect(left, top, width, 16 * ratio);
      ctx.fillStyle = mark.ink;
      ctx.fillText(mark.text, left + 4 * ratio, top + 3 * ratio);
    }
    ctx.restore();
  }
}

function stroke(
  ctx: CanvasRenderingContext2D,
  colour: string,
  ratio: number,
  dash: number[],
  [x0, y0, x1, y1]: [number, number, number, number],
): void {
  ctx.strokeStyle = colour;
  ctx.lineWidth = 1.5 * ratio;
  ctx.setLineDash(dash.map((length) => length * ratio));
  ctx.beginPath();
  ctx.moveTo(x0, y0);
  ctx.lineTo(x1, y1);
  ctx.stroke();
}

/** The first row of flags with room from `left` on; `rowEnds` remembers where each row's last flag ends. */
function freeRow(rowEnds: number[], left: number, right: number): number {
  const row = rowEnds.findIndex((end) => end < left);
  if (row >= 0) {
    rowEnds[row] = right;
    return row;
  }
  return rowEnds.push(right) - 1;
}

function aligned(content: ChartContent): uPlot.AlignedData {
  const columns = content.lines.flatMap((line) =>
    line.band ? [line.mean, line.band.max, line.band.min] : [line.mean],
  );
  return [content.times_s, ...columns] as unknown as uPlot.AlignedData;
}

function seriesOf(line: ChartLine): uPlot.Series[] {
  const mean: uPlot.Series = {
    label: line.label,
    stroke: line.colour,
    width: 1.6,
    spanGaps: false,
    points: { size: 4 },
    ...(line.dashed ? { dash: [6, 4] } : {}),
  };
  if (line.band === null) return [mean];
  const edge: uPlot.Series = { stroke: "transparent", width: 0, spanGaps: false, points: { show: false } };
  return [mean, { ...edge, label: `${line.label} max` }, { ...edge, label: `${line.label} min` }];
}

function bandsOf(lines: readonly ChartLine[]): uPlot.Band[] {
  const bands: uPlot.Band[] = [];
  let at = 1;
  for (const line of lines) {
    if (line.band !== null) bands.push({ series: [at + 1, at + 2], fill: translucent(line.colour) });
    at += line.band === null ? 1 : 3;
  }
  return bands;
}

/** "rgb(1, 2, 3)" made to let the grid shine through. */
function translucent(colour: string): string {
  return colour.replace(/^rgb\((.*)\)$/, "rgba($1, 0.2)");
}

function padded(low: number | null, high: number | null, flattest: number): [number, number] {
  if (low === null || high === null || !Number.isFinite(low) || !Number.isFinite(high)) return [0, flattest];
  const span = Math.max(flattest, (high - low) * 1.12);
  const middle = (low + high) / 2;
  return [middle - span / 2, middle + span / 2];
}

/** As many digits as it takes to tell two ticks apart, at most those wanted. */
function digitsFor(ticks: number[], most: number): number {
  const step = Math.abs((ticks[1] ?? 0) - (ticks[0] ?? 0));
  return step === 0 || step >= 1 ? 0 : Math.min(most, Math.ceil(-Math.log10(step)));
}

/** Tick labels on a 24-hour clock, coarsest step first; the day stands under the first tick and where it changes. */
const TIME_LABELS: uPlot.Axis.Values = [
  [3600 * 24, "{YYYY}-{MM}-{DD}", null, null, null, null, null, null, 1],
  [3600, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{YYYY}-{MM}-{DD}", null, null, null, 1],
  [60, "{HH}:{mm}", "\n{YYYY}-{MM}-{DD}", null, "\n{YYYY}-{MM}-{DD}", null, null, null, 1],
  [1, "{HH}:{mm}:{ss}", "\n{YYYY}-{MM}-{DD}", null, "\n{YYYY}-{MM}-{DD}", null, null, null, 1],
];
