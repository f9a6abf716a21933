/** The base map that needs no network: countries (Natural Earth) and US states (Census Bureau), as npm's atlases pack them. */

import type { StyleSpecification } from "maplibre-gl";
import { feature, mesh } from "topojson-client";
import type { GeometryCollection, Topology } from "topojson-specification";

import { type Region, regionOfRings } from "../../../core/regions";

type Atlas = Topology<Record<string, GeometryCollection<{ name: string }>>>;

export interface BaseMap {
  readonly style: StyleSpecification;
  /** US states first, then countries. */
  readonly regions: readonly Region[];
}

export interface BaseColours {
  readonly water: string;
  readonly land: string;
  readonly border: string;
  readonly state: string;
  readonly label: string;
}

const UNITED_STATES = "United States of America";
let asked: Promise<[countries: Atlas, states: Atlas]> | null = null;

/** Both atlases, asked for once. */
function atlases(): Promise<[Atlas, Atlas]> {
  const ask = async (path: string): Promise<Atlas> => {
    const response = await fetch(path);
    if (!response.ok) throw new Error(`${path}: ${response.status}`);
    return (await response.json()) as Atlas;
  };
  asked ??= Promise.all([ask("/map-countries.json"), ask("/map-states.json")]).catch((error: unknown) => {
    asked = null;
    throw error;
  });
  return asked;
}

/** In which state or country places are: the outlines alone. */
export async function regionsOfAtlas(): Promise<readonly Region[]> {
  const [countries, states] = await atlases();
  return [
    ...regionsOf(states, "states"),
    ...regionsOf(countries, "countries").filter((each) => each.name !== UNITED_STATES),
  ];
}

export async function baseStyle(colours: BaseColours): Promise<StyleSpecification> {
  const [countries, states] = await atlases();
  const land = feature(countries, countries.objects["countries"]!);
  const borders = mesh(countries, countries.objects["countries"]!);
  const stateBorders = mesh(states, states.objects["states"]!, (a, b) => a !== b);
  const names = {
    type: "FeatureCollection" as const,
    features: regionsOf(states, "states").map(({ name, box }) => ({
      type: "Feature" as const,
      properties: { name },
      geometry: {
        type: "Point" as const,
        coordinates: [(box[0] + box[2]) / 2, (box[1] + box[3]) / 2] as [number, number],
      },
    })),
  };
  return {
    version: 8,
    sources: {
      land: { type: "geojson", data: land },
      borders: { type: "geojson", data: borders },
      states: { type: "geojson", data: stateBorders },
      names: { type: "geojson", data: names },
    },
    layers: [
      { id: "water", type: "background", paint: { "background-color": colours.water } },
      { id: "land", type: "fill", source: "land", paint: { "fill-color": colours.land } },
      { id: "borders", type: "line", source: "borders", paint: { "line-color": colours.border } },
      {
        id: "states",
        type: "line",
        source: "states",
        paint: {
          "line-color": colours.state,
          "line-width": ["interpolate", ["linear"], ["zoom"], 3, 0.4, 8, 1.4],
        },
      },
      {
        id: "names",
        type: "symbol",
        source: "names",
        minzoom: 4,
        layout: { "text-field": ["get", "name"], "text-size": 11, "text-font": ["sans-serif"] },
        paint: { "text-color": colours.label },
      },
    ],
  };
}

function regionsOf(atlas: Atlas, object: string): Region[] {
  return feature(atlas, atlas.objects[object]!).features.flatMap(({ geometry, properties }) => {
    if (geometry.type === "Polygon") return [regionOfRings(properties.name, ringsOf([geometry.coordinates]))];
    if (geometry.type === "MultiPolygon")
      return [regionOfRings(properties.name, ringsOf(geometry.coordinates))];
    return [];
  });
}

function ringsOf(polygons: number[][][][]): Region["rings"] {
  return polygons.flat() as unknown as Region["rings"];
}
