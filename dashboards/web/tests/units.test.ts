import { describe, expect, test } from "vitest";

import { reasonText } from "../src/core/reasons";
import {
  type Units,
  differenceWords,
  rateWords,
  speedWords,
  temperatureWords,
  unitsOfLanguage,
  voltageWords,
} from "../src/core/units";

const C: Units = { temperature: "c", speed: "kmh" };
const F: Units = { temperature: "f", speed: "mph" };

test.each([
  ["en-US", "f", "mph"],
  ["es-US", "f", "mph"],
  ["en", "f", "mph"],
  ["en-GB", "c", "mph"],
  ["de-DE", "c", "kmh"],
  ["fr-CA", "c", "kmh"],
  ["not a language", "c", "kmh"],
])("the units of %s are %s and %s", (language, temperature, speed) => {
  expect(unitsOfLanguage(language)).toEqual({ temperature, speed });
});

test("temperatures are shifted, differences and rates only scaled", () => {
  expect(temperatureWords(C, 83.44)).toBe("83.4 °C");
  expect(temperatureWords(F, 80)).toBe("176.0 °F");
  expect(differenceWords(F, 10)).toBe("18.0 °F");
  expect(rateWords(F, 1)).toBe("+1.80 °F/min");
  expect(rateWords(C, -0.314)).toBe("−0.31 °C/min");
  expect(rateWords(C, 58.46)).toBe("+58.5 °C/min");
});

test("no negative zero, and no sign before it", () => {
  expect(temperatureWords(C, -0.01)).toBe("0.0 °C");
  expect(rateWords(C, -0.001)).toBe("0.00 °C/min");
  expect(rateWords(C, 0.004)).toBe("0.00 °C/min");
});

test("what was not measured is a dash, never a zero", () => {
  expect([
    temperatureWords(F, null),
    differenceWords(C, null),
    rateWords(C, null),
    voltageWords(null),
  ]).toEqual(["–", "–", "–", "–"]);
  expect(speedWords(F, null)).toBe("speed not known");
});

test("speeds and voltages", () => {
  expect(speedWords(C, 25)).toBe("90 km/h");
  expect(speedWords(F, 26.8224)).toBe("60 mph");
  expect(voltageWords(3.7012)).toBe("3.701 V");
  expect(voltageWords(355.23)).toBe("355.2 V");
});

describe("reasons in degF", () => {
  test.each([
    ["ceilings are temperatures", "probe 7 is 83.4 degC, above 80 degC", "probe 7 is 182.1 °F, above 176 °F"],
    [
      "how far it had cooled",
      "hot again: probe 3 is 61.2 degC, above 60 degC; it had cooled to 41.3 degC",
      "hot again: probe 3 is 142.2 °F, above 140 °F; it had cooled to 106.3 °F",
    ],
    ["at a ceiling", "probe 7 is 60.0 degC, at 60 degC", "probe 7 is 140.0 °F, at 140 °F"],
    [
      "rates are scaled only",
      "probe 2 is 160.0 degC and rises 1.5 degC/s, 1 degC/s or more for 4.0 s",
      "probe 2 is 320.0 °F and rises 2.7 °F/s, 1.8 °F/s or more for 4.0 s",
    ],
    [
      "the highest operating temperature",
      "that is hotter than the pack may get in use, 60 degC",
      "that is hotter than the pack may get in use, 140 °F",
    ],
    [
      "a phrase that is not known stays in degC, with its unit",
      "probe 7 lies 6.2 degC from its neighbours and rises 0.31 degC/min",
      "probe 7 lies 6.2 °C from its neighbours and rises 0.56 °F/min",
    ],
    ["no number is touched without a unit", "probe 7 is broken for 14 min", "probe 7 is broken for 14 min"],
    [
      "a rise above the neighbours is stretched, what it reached is shifted",
      "probe 3 rose 14.0 degC above its neighbours within 90 s, to 34.8 degC",
      "probe 3 rose 25.2 °F above its neighbours within 90 s, to 94.6 °F",
    ],
    [
      "a distance from the neighbours",
      "probe 5 is 5.9 degC above its neighbours and rising 0.19 degC/min for 3 min",
      "probe 5 is 10.6 °F above its neighbours and rising 0.34 °F/min for 3 min",
    ],
    [
      "a lasting distance, and the usual one",
      "probe 5 has stood 3.0 degC above its neighbours for long; 0.5 degC is usual",
      "probe 5 has stood 5.4 °F above its neighbours for long; 0.9 °F is usual",
    ],
    [
      "the whole pack",
      "the whole pack is 35.0 degC, 20.0 degC more than on average over the last 60 min",
      "the whole pack is 95.0 °F, 36.0 °F more than on average over the last 60 min",
    ],
  ])("%s", (_, reason, shown) => {
    expect(reasonText(reason, F)).toBe(shown);
  });

  test("in degC only the sign changes", () => {
    expect(reasonText("probe 7 is 83.4 degC, above 80 degC", C)).toBe("probe 7 is 83.4 °C, above 80 °C");
  });
});
