/** The alarm that can be heard. A browser plays nothing until the page was touched, and the page says so. */

/** Unacknowledged alarms sound again this often (assumed: often enough for a return from the coffee machine). */
const REPEAT_MS = 15_000;

class Sound {
  /** True only while the browser really plays. */
  armed = $state(false);
  #context: AudioContext | null = null;

  async arm(): Promise<void> {
    if (this.#context === null) {
      const context = new AudioContext();
      context.onstatechange = () => (this.armed = context.state === "running");
      this.#context = context;
    }
    await this.#context.resume();
    this.armed = this.#context.state === "running";
    if (this.armed) this.#beeps([880], 0.08);
  }

  async disarm(): Promise<void> {
    await this.#context?.suspend();
    this.armed = false;
  }

  /** Three rising pairs: an alarm. */
  alarm(): void {
    this.#beeps([740, 988, 740, 988, 740, 988], 0.16);
  }

  /** One low tone: this page is blind. */
  blind(): void {
    this.#beeps([220], 0.7);
  }

  /** Sounds again and again until stopped. */
  repeatAlarm(): () => void {
    const timer = setInterval(() => this.alarm(), REPEAT_MS);
    return () => clearInterval(timer);
  }

  #beeps(pitches_hz: readonly number[], length_s: number): void {
    const context = this.#context;
    if (context === null || !this.armed) return;
    pitches_hz.forEach((pitch, i) => {
      const start = context.currentTime + i * length_s * 1.15;
      const tone = context.createOscillator();
      const gain = context.createGain();
      tone.type = "square";
      tone.frequency.value = pitch;
      // A ramp at both ends: a square edge clicks.
      gain.gain.setValueAtTime(0, start);
      gain.gain.linearRampToValueAtTime(0.25, start + 0.01);
      gain.gain.setValueAtTime(0.25, start + length_s - 0.02);
      gain.gain.linearRampToValueAtTime(0, start + length_s);
      tone.connect(gain).connect(context.destination);
      tone.start(start);
      tone.stop(start + length_s);
    });
  }
}

export const sound = new Sound();
