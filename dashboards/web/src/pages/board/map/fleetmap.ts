/** The map of all vehicles: clusters by worst level, marks by level, heading, and the trail of the vehicle that is chosen. */

import {
  type ExpressionSpecification,
  type GeoJSONSource,
  Map as GlMap,
  NavigationControl,
  ScaleControl,
  setWorkerUrl,
} from "maplibre-gl";
import workerUrl from "maplibre-gl/dist/maplibre-gl-worker.mjs?url";
import "maplibre-gl/dist/maplibre-gl.css";

import type { Level } from "../../../core/contract";
import { LEVELS_WORST_FIRST } from "../../../core/levels";
import { type Mark, boundsOf } from "../../../core/mapmarks";
import { resolvedColours } from "../../../shell/colours";
import { baseStyle } from "./basemap";
import { DENSITY, type LevelColours, iconsOf } from "./icons";

setWorkerUrl(workerUrl);

export interface FleetMapOptions {
  readonly element: HTMLElement;
  /** A style's address, or an address of raster tiles with {z}, {x} and {y}; null: the base map that needs no network. */
  readonly style: string | null;
  readonly at: readonly [number, number, number] | null;
  readonly miles: boolean;
  readonly onchoose: (gateway: string) => void;
  readonly onmoved: (at: [number, number, number]) => void;
  readonly ontrouble: (words: string) => void;
}

/** Assumed: closer than this to one vehicle shows nothing more of it. */
const CLOSEST_ZOOM = 11;
const CLUSTER_RADIUS_PX = 46;

export class FleetMap {
  readonly #map: GlMap;
  readonly #options: FleetMapOptions;
  readonly #ready: Promise<void>;
  #marks: readonly Mark[] = [];
  #placed: boolean;

  private constructor(map: GlMap, options: FleetMapOptions) {
    this.#map = map;
    this.#options = options;
    this.#placed = options.at !== null;
    this.#ready = new Promise((resolve) => map.once("load", () => resolve()));
    map.addControl(new NavigationControl({ showCompass: false }), "top-right");
    map.addControl(new ScaleControl({ unit: options.miles ? "imperial" : "metric" }));
    map.on("error", ({ error }) => options.ontrouble(`The map is not whole: ${error.message}`));
    map.on("moveend", (event) => {
      if (!("originalEvent" in event) || event.originalEvent === undefined) return;
      const { lng, lat } = map.getCenter();
      options.onmoved([lng, lat, map.getZoom()]);
    });
    map.on("click", (event) => void this.#clicked(event.point));
    for (const layer of ["clusters", "vehicles"]) {
      map.on("mouseenter", layer, () => (map.getCanvas().style.cursor = "pointer"));
      map.on("mouseleave", layer, () => (map.getCanvas().style.cursor = ""));
    }
  }

  /** Throws where the browser draws no WebGL, or the base map cannot be read. */
  static async open(options: FleetMapOptions): Promise<FleetMap> {
    const map = new GlMap({
      container: options.element,
      style: await styleOf(options.style),
      center: options.at === null ? [-96, 39] : [options.at[0], options.at[1]],
      zoom: options.at === null ? 3 : options.at[2],
      attributionControl: { compact: true },
      dragRotate: false,
      pitchWithRotate: false,
      // The list has the keys.
      keyboard: false,
      fadeDuration: 0,
    });
    map.touchZoomRotate.disableRotation();
    const fleet = new FleetMap(map, options);
    await fleet.#ready;
    fleet.#draw();
    return fleet;
  }

  show(marks: readonly Mark[]): void {
    this.#marks = marks;
    void this.#source("vehicles").setData({ type: "FeatureCollection", features: marks as Mark[] });
    if (this.#placed) return;
    const bounds = boundsOf(marks);
    if (bounds === null) return;
    this.#placed = true;
    this.#map.fitBounds(bounds, { padding: 50, maxZoom: 8, animate: false });
  }

  /** Puts the chosen vehicle in the middle, unless it is in sight. "" = none is chosen. */
  choose(gateway: string): void {
    const chosen = this.#marks.find((mark) => mark.properties.gateway === gateway);
    this.#map.setFilter("chosen", ["==", ["get", "gateway"], gateway]);
    void this.#source("chosen").setData({
      type: "FeatureCollection",
      features: chosen === undefined ? [] : [chosen],
    });
    if (chosen === undefined) return;
    const { coordinates } = chosen.geometry;
    if (this.#map.getZoom() < 6 || !this.#map.getBounds().contains(coordinates)) {
      this.#map.jumpTo({ center: coordinates, zoom: Math.max(7, this.#map.getZoom()) });
    }
  }

  /** Longitude and latitude, oldest first. */
  trail(places: readonly (readonly [number, number])[]): void {
    void this.#source("trail").setData({
      type: "Feature",
      properties: {},
      geometry: { type: "LineString", coordinates: places.map((place) => [...place]) },
    });
  }

  /** The colours on the page have changed. */
  async repaint(): Promise<void> {
    this.#map.setStyle(await styleOf(this.#options.style), { diff: false });
    await new Promise((resolve) => this.#map.once("style.load", resolve));
    this.#draw();
    this.show(this.#marks);
  }

  resize(): void {
    this.#map.resize();
  }

  close(): void {
    this.#map.remove();
  }

  #source(name: string): GeoJSONSource {
    const source = this.#map.getSource<GeoJSONSource>(name);
    if (source === undefined) throw new Error(`the map has no ${name}`);
    return source;
  }

  async #clicked(point: { x: number; y: number }): Promise<void> {
    const [hit] = this.#map.queryRenderedFeatures([point.x, point.y], { layers: ["clusters", "vehicles"] });
    if (hit === undefined) {
      this.#options.onchoose("");
    } else if (hit.layer.id === "vehicles") {
      this.#options.onchoose(String(hit.properties["gateway"]));
    } else {
      const zoom = await this.#source("vehicles").getClusterExpansionZoom(
        Number(hit.properties["cluster_id"]),
      );
      const [lng, lat] = (hit.geometry as GeoJSON.Point).coordinates as [number, number];
      this.#map.easeTo({ center: [lng, lat], zoom: Math.min(zoom, CLOSEST_ZOOM) });
      this.#options.onmoved([lng, lat, Math.min(zoom, CLOSEST_ZOOM)]);
    }
  }

  #draw(): void {
    const map = this.#map;
    const names = LEVELS_WORST_FIRST.flatMap((level) => [`${level}-fill`, `${level}-ink`] as const);
    const colours = resolvedColours([...names, "ground", "ink", "accent"]);
    const levels = Object.fromEntries(
      LEVELS_WORST_FIRST.map((level) => [
        level,
        { fill: colours[`${level}-fill`], ink: colours[`${level}-ink`] },
      ]),
    ) as Record<Level, LevelColours[Level]>;
    for (const [name, picture] of iconsOf(levels, colours.ground)) {
      map.addImage(name, picture, { pixelRatio: DENSITY });
    }
    const none = { type: "FeatureCollection" as const, features: [] };
    map.addSource("vehicles", {
      type: "geojson",
      data: none,
      cluster: true,
      clusterRadius: CLUSTER_RADIUS_PX,
      clusterMaxZoom: CLOSEST_ZOOM - 1,
      // A cluster looks like its worst vehicle, however few those are.
      clusterProperties: { worst: ["max", ["get", "rank"]] },
    });
    map.addSource("chosen", { type: "geojson", data: none });
    map.addSource("trail", { type: "geojson", data: none });
    const rank: ExpressionSpecification = ["to-string", ["get", "rank"]];
    const words = { "text-font": ["sans-serif"], "text-size": 11 };
    const paint = { "text-color": colours.ink, "text-halo-color": colours.ground, "text-halo-width": 1.5 };
    map.addLayer({
      id: "trail",
      type: "line",
      source: "trail",
      paint: { "line-color": colours.accent, "line-width": 3, "line-dasharray": [2, 1] },
    });
    map.addLayer({
      id: "headings",
      type: "symbol",
      source: "vehicles",
      filter: ["all", ["!", ["has", "point_count"]], [">=", ["get", "heading"], 0]],
      layout: {
        "icon-image": "arrow",
        "icon-rotate": ["get", "heading"],
        "icon-rotation-alignment": "map",
        "icon-allow-overlap": true,
        "icon-ignore-placement": true,
      },
    });
    map.addLayer({
      id: "vehicles",
      type: "symbol",
      source: "vehicles",
      filter: ["!", ["has", "point_count"]],
      layout: {
        "icon-image": ["concat", "mark-", rank],
        "icon-allow-overlap": true,
        "symbol-sort-key": ["get", "rank"],
        "text-field": [
          "step",
          ["zoom"],
          "",
          7,
          ["concat", ["get", "name"], ["case", ["get", "stale"], "\nSTALE", ""]],
        ],
        "text-optional": true,
        "text-anchor": "top",
        "text-offset": [0, 1.3],
        ...words,
      },
      paint: { ...paint, "icon-opacity": ["case", ["get", "stale"], 0.65, 1] },
    });
    map.addLayer({
      id: "clusters",
      type: "symbol",
      source: "vehicles",
      filter: ["has", "point_count"],
      layout: {
        "icon-image": ["concat", "cluster-", ["to-string", ["get", "worst"]]],
        "icon-allow-overlap": true,
        "symbol-sort-key": ["get", "worst"],
        "text-field": ["get", "point_count_abbreviated"],
        "text-allow-overlap": true,
        "text-offset": [0, 0.95],
        ...words,
      },
      paint,
    });
    map.addLayer({
      id: "chosen",
      type: "circle",
      source: "chosen",
      paint: {
        "circle-radius": 17,
        "circle-color": "transparent",
        "circle-stroke-width": 3,
        "circle-stroke-color": colours.accent,
      },
    });
  }
}

async function styleOf(address: string | null): ReturnType<typeof baseStyle> {
  if (address === null) {
    const colours = resolvedColours(["ground", "raised", "line-strong", "line", "muted"]);
    return baseStyle({
      water: colours.ground,
      land: colours.raised,
      border: colours["line-strong"],
      state: colours.line,
      label: colours.muted,
    });
  }
  if (address.includes("{z}")) {
    return {
      version: 8,
      sources: { tiles: { type: "raster", tiles: [address], tileSize: 256 } },
      layers: [{ id: "tiles", type: "raster", source: "tiles" }],
    };
  }
  const response = await fetch(address);
  if (!response.ok) throw new Error(`the map's style answered ${response.status}`);
  return (await response.json()) as Awaited<ReturnType<typeof baseStyle>>;
}
