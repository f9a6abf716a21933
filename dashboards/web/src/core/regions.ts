/** In which state of the US, or else which country, a place is. Outlines are those of the base map. Pure. */

/** Rings of longitude and latitude; holes and islands are rings like others. */
export interface Region {
  readonly name: string;
  readonly rings: readonly (readonly (readonly [number, number])[])[];
  /** West, south, east, north. */
  readonly box: readonly [number, number, number, number];
}

export function regionOfRings(name: string, rings: Region["rings"]): Region {
  let [west, south, east, north] = [180, 90, -180, -90];
  for (const ring of rings) {
    for (const [x, y] of ring) {
      west = Math.min(west, x);
      east = Math.max(east, x);
      south = Math.min(south, y);
      north = Math.max(north, y);
    }
  }
  return { name, rings, box: [west, south, east, north] };
}

/** The name of the first region around a place; "" outside of all. */
export function regionAt(regions: readonly Region[], longitude: number, latitude: number): string {
  for (const { name, rings, box } of regions) {
    if (longitude < box[0] || longitude > box[2] || latitude < box[1] || latitude > box[3]) continue;
    let crossings = 0;
    for (const ring of rings) crossings += crossingsOf(ring, longitude, latitude);
    if (crossings % 2 === 1) return name;
  }
  return "";
}

/** How many edges of a ring a ray to the east meets: an odd number from inside (even-odd rule). */
function crossingsOf(ring: Region["rings"][number], x: number, y: number): number {
  let count = 0;
  for (let i = 0, j = ring.length - 1; i < ring.length; j = i++) {
    const [x1, y1] = ring[i]!;
    const [x2, y2] = ring[j]!;
    if (y1 > y !== y2 > y && x < x1 + ((y - y1) * (x2 - x1)) / (y2 - y1)) count++;
  }
  return count;
}
