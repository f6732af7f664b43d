// Counts the seconds in which somebody works here, and tells when nobody does.

const IDLE_AFTER = 20_000;
const TICK = 250;

/**
 * Seconds count while the window is visible and focused and a key or pointer moved in the last 20 s.
 * `onIdle` is called once per idle spell, `onLeave` whenever the window loses focus or is hidden.
 */
export function watchActivity({ startingAt, onIdle, onLeave }) {
  let seconds = startingAt;
  let lastInput = performance.now();
  let lastTick = lastInput;
  let idle = false;

  const touch = () => {
    lastInput = performance.now();
    idle = false;
  };
  for (const kind of ["keydown", "pointerdown", "pointermove", "wheel", "touchstart"]) {
    window.addEventListener(kind, touch, { capture: true, passive: true });
  }
  window.addEventListener("blur", onLeave);
  window.addEventListener("pagehide", onLeave);
  document.addEventListener("visibilitychange", () => document.hidden && onLeave());

  const present = () => !document.hidden && document.hasFocus() && performance.now() - lastInput < IDLE_AFTER;
  const tick = () => {
    const now = performance.now();
    // A sleeping machine makes one long tick; nobody worked through it.
    if (present()) seconds += Math.min(now - lastTick, 4 * TICK) / 1000;
    lastTick = now;
    if (!idle && now - lastInput >= IDLE_AFTER) {
      idle = true;
      onIdle();
    }
  };
  window.setInterval(tick, TICK);

  return {
    present,
    seconds: () => {
      tick();
      return seconds.toFixed(3);
    },
  };
}
