/** The tabs of the page, by the pattern of tab lists: arrow keys go from one to the next, and the address tells which is open. */

export interface Tab {
  /** What stands behind the # of the address. */
  readonly name: string;
  readonly tab: HTMLElement;
  readonly panel: HTMLElement;
  /** Told before another tab is shown. */
  readonly leave: () => void;
}

/** Where each key goes, from the tab with the focus among so many. */
const moves: Readonly<Record<string, (at: number, count: number) => number>> = {
  ArrowLeft: (at, count) => (at + count - 1) % count,
  ArrowRight: (at, count) => (at + 1) % count,
  Home: () => 0,
  End: (_, count) => count - 1,
};

/** Shows the tab that the address names, the first if none. @param tabs In their order. */
export function startTabs(tabs: readonly Tab[]): void {
  let shown: Tab | undefined;

  const show = (next: Tab): void => {
    if (next === shown) return;
    shown?.leave();
    shown = next;
    for (const one of tabs) {
      const isShown = one === next;
      one.panel.hidden = !isShown;
      one.tab.setAttribute('aria-selected', String(isShown));
      one.tab.tabIndex = isShown ? 0 : -1;
    }
  };
  const showAddressed = (): void => {
    const named = tabs.find(({ name }) => location.hash === `#${name}`) ?? tabs[0];
    if (named !== undefined) show(named);
  };
  /** The address alone decides what is shown, so that going back leads to the tab before. */
  const open = ({ name }: Tab): void => {
    location.hash = name;
  };

  for (const [at, one] of tabs.entries()) {
    one.tab.addEventListener('click', () => open(one));
    one.tab.addEventListener('keydown', (event) => {
      const next = tabs[moves[event.key]?.(at, tabs.length) ?? -1];
      if (next === undefined) return;
      event.preventDefault();
      next.tab.focus();
      open(next);
    });
  }
  addEventListener('hashchange', showAddressed);
  showAddressed();
}
