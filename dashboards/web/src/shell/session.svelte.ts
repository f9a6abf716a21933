/** Who is signed in. Nothing is shown before that is known. */

import type { Person } from "../core/contract";
import { pathAfterSignIn } from "../core/routes";
import { ApiError, api, listenForSignedOut } from "./api";
import { navigation } from "./navigation.svelte";

class Session {
  /** `undefined` = not known yet, `null` = nobody. */
  person: Person | null | undefined = $state.raw(undefined);
  /** Said at the sign-in after a session that ended by itself. */
  ended = $state(false);
  /** The service could not be asked; it is asked again. */
  unreachable = $state(false);

  start(): void {
    listenForSignedOut(() => {
      if (this.person) this.ended = true;
      this.person = null;
      this.#toSignIn();
    });
    void this.ask();
  }

  async ask(): Promise<void> {
    try {
      this.person = await api.me();
      this.unreachable = false;
      if (navigation.route.page === "sign-in")
        navigation.go(pathAfterSignIn(navigation.search), { replace: true });
    } catch (error) {
      if (error instanceof ApiError && error.signedOut) {
        this.unreachable = false;
        return;
      }
      this.unreachable = true;
      setTimeout(() => void this.ask(), 3000);
    }
  }

  async signIn(name: string, password: string): Promise<void> {
    this.person = await api.signIn(name, password);
    this.ended = false;
    navigation.go(pathAfterSignIn(navigation.search), { replace: true });
  }

  async claim(token: string, name: string, password: string): Promise<void> {
    this.person = await api.claim(token, name, password);
    navigation.go("/", { replace: true });
  }

  async signOut(): Promise<void> {
    await api.signOut();
    this.person = null;
    this.ended = false;
    navigation.go("/sign-in");
  }

  #toSignIn(): void {
    const { page } = navigation.route;
    if (page === "sign-in" || page === "claim") return;
    const here = navigation.path + navigation.search;
    navigation.go(here === "/" ? "/sign-in" : `/sign-in?next=${encodeURIComponent(here)}`, { replace: true });
  }
}

export const session = new Session();
