/** The service's time, as well as this page knows it: ages must not depend on a viewer's badly set clock. */

class Clock {
  /** Now by the service's clock, ms UTC; moves once a second. */
  nowMs = $state(Date.now());
  #offsetMs = 0;

  start(): () => void {
    const timer = setInterval(() => this.tick(), 1000);
    return () => clearInterval(timer);
  }

  /** The service just said what time it is. */
  setService(nowMs: number): void {
    this.#offsetMs = nowMs - Date.now();
    this.tick();
  }

  tick(): void {
    this.nowMs = this.preciseMs();
  }

  preciseMs(): number {
    return Date.now() + this.#offsetMs;
  }
}

export const clock = new Clock();
