/** The marks of levels as pictures for the map: shape and colour, the same shapes as on the badges. */

import type { Level } from "../../../core/contract";
import { LEVELS_WORST_FIRST, LEVEL_LOOKS } from "../../../core/levels";
import { BURST, DIAMOND, OCTAGON, TRIANGLE } from "../../../core/shapes";

export type LevelColours = Readonly<Record<Level, { readonly fill: string; readonly ink: string }>>;

/** Pixels of a picture for one of the screen. */
export const DENSITY = 2;
/** A single vehicle; a cluster is a plate behind the mark of its worst vehicle. */
const MARK_PX = 22;
const PLATE_PX = 40;

/** Pictures by name: `mark-RANK`, `cluster-RANK`, and `arrow` for a heading. */
export function iconsOf(colours: LevelColours, outline: string): Map<string, ImageData> {
  const icons = new Map<string, ImageData>();
  for (const level of LEVELS_WORST_FIRST) {
    const { rank } = LEVEL_LOOKS[level];
    icons.set(
      `mark-${rank}`,
      drawn(MARK_PX, (context) => drawMark(context, level, MARK_PX, colours, outline)),
    );
    icons.set(
      `cluster-${rank}`,
      drawn(PLATE_PX, (context) => drawCluster(context, level, colours, outline)),
    );
  }
  icons.set(
    "arrow",
    drawn(PLATE_PX, (context) => drawArrow(context, outline)),
  );
  return icons;
}

function drawn(size: number, draw: (context: CanvasRenderingContext2D) => void): ImageData {
  const canvas = document.createElement("canvas");
  canvas.width = canvas.height = size * DENSITY;
  const context = canvas.getContext("2d");
  if (context === null) throw new Error("this browser draws no pictures");
  context.scale(DENSITY, DENSITY);
  draw(context);
  return context.getImageData(0, 0, canvas.width, canvas.height);
}

function drawMark(
  context: CanvasRenderingContext2D,
  level: Level,
  size: number,
  colours: LevelColours,
  outline: string,
): void {
  const { fill, ink } = colours[level];
  const margin = 2;
  context.save();
  context.translate(margin, margin);
  context.scale((size - 2 * margin) / 24, (size - 2 * margin) / 24);
  context.lineWidth = 2.6;
  context.strokeStyle = outline;
  context.fillStyle = fill;
  switch (LEVEL_LOOKS[level].shape) {
    case "burst":
      return shape(context, new Path2D(BURST));
    case "octagon":
      return shape(context, new Path2D(OCTAGON));
    case "triangle":
      return shape(context, new Path2D(TRIANGLE));
    case "diamond":
      return shape(context, new Path2D(DIAMOND));
    default: {
      const disc = new Path2D();
      disc.arc(12, 12, 10, 0, 2 * Math.PI);
      context.stroke(disc);
      context.fill(disc);
      context.strokeStyle = ink;
      context.stroke(new Path2D(level === "normal" ? "M7.5 12.4l3 3 6-6.4" : "M6.5 17.5l11-11"));
      context.restore();
    }
  }
}

function shape(context: CanvasRenderingContext2D, path: Path2D): void {
  context.stroke(path);
  context.fill(path, "evenodd");
  context.restore();
}

function drawCluster(
  context: CanvasRenderingContext2D,
  level: Level,
  colours: LevelColours,
  outline: string,
): void {
  const plate = new Path2D();
  plate.roundRect(1.5, 1.5, PLATE_PX - 3, PLATE_PX - 3, 9);
  context.fillStyle = outline;
  context.fill(plate);
  context.strokeStyle = colours[level].fill;
  context.lineWidth = 3;
  context.stroke(plate);
  context.translate((PLATE_PX - MARK_PX) / 2, 3);
  drawMark(context, level, MARK_PX, colours, outline);
}

/** Points north, clear of the mark in its middle. */
function drawArrow(context: CanvasRenderingContext2D, outline: string): void {
  context.strokeStyle = outline;
  context.lineWidth = 1;
  context.fillStyle = "#1f6fb2";
  const arrow = new Path2D("M20 0L25 8.5H15z");
  context.fill(arrow);
  context.stroke(arrow);
}
