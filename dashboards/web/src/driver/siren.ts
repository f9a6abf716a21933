/** What the driver hears: Web Audio, without files. A browser plays nothing before the page was pressed once. */

import type { Alarm } from "./shown";

/** Two tones, by ISO 7731 between 300 and 3000 Hz, where ageing ears and cabs let them through. */
const SIREN_HZ = [660, 990] as const;
const BEEPS_EVERY_MS = 20_000;
const CHIRP_EVERY_MS = 30_000;

export class Siren {
  #context: AudioContext | null = null;
  #alarm: Alarm = "none";
  #timer: ReturnType<typeof setInterval> | undefined;
  #quiet = false;
  #onChange: () => void;

  constructor(onChange: () => void) {
    this.#onChange = onChange;
  }

  get armed(): boolean {
    return this.#context?.state === "running";
  }

  /** Call from a press, or at the start: where the browser allows it, sound needs no press. */
  async arm(): Promise<void> {
    if (this.#context === null) {
      this.#context = new AudioContext();
      this.#context.onstatechange = this.#onChange;
    }
    await this.#context.resume();
    this.#onChange();
  }

  /** Sounds at once and goes on by itself, until another alarm takes its place. */
  sound(alarm: Alarm): void {
    if (alarm === this.#alarm) return;
    this.#alarm = alarm;
    clearInterval(this.#timer);
    if (alarm === "none") return;
    this.#once();
    const every_ms = { siren: 1000, beeps: BEEPS_EVERY_MS, chirp: CHIRP_EVERY_MS }[alarm];
    this.#timer = setInterval(() => this.#once(), every_ms);
  }

  /** While the page speaks, the siren is low. */
  hush(quiet: boolean): void {
    this.#quiet = quiet;
  }

  #once(): void {
    switch (this.#alarm) {
      case "siren":
        this.#tones(SIREN_HZ, 0.5, this.#quiet ? 0.04 : 0.8);
        break;
      case "beeps":
        this.#tones([880, 880, 880], 0.2, this.#quiet ? 0.04 : 0.5);
        break;
      case "chirp":
        this.#tones([1320], 0.09, 0.25);
        break;
      case "none":
    }
  }

  #tones(pitches_hz: readonly number[], length_s: number, loudness: number): void {
    const context = this.#context;
    if (context?.state !== "running") return;
    pitches_hz.forEach((pitch_hz, i) => {
      const start = context.currentTime + i * length_s;
      const tone = context.createOscillator();
      const gain = context.createGain();
      tone.type = "square";
      tone.frequency.value = pitch_hz;
      // A ramp at both ends: a square edge clicks.
      gain.gain.setValueAtTime(0, start);
      gain.gain.linearRampToValueAtTime(loudness, start + 0.01);
      gain.gain.setValueAtTime(loudness, start + length_s * 0.9);
      gain.gain.linearRampToValueAtTime(0, start + length_s);
      tone.connect(gain).connect(context.destination);
      tone.start(start);
      tone.stop(start + length_s);
    });
  }
}
