// A value that views watch. What does not change for a view does not draw it again.

import { useState, useEffect, useRef } from './html.js';

/** A store around a value. `set` takes a value or a function of the one before. */
export function createStore(value) {
  const watchers = new Set();
  return {
    get: () => value,
    set(next) {
      const after = typeof next === 'function' ? next(value) : next;
      if (after === value) return;
      value = after;
      for (const watcher of [...watchers]) watcher(value);
    },
    /** Calls back after each change, until the function that it returns is called. */
    watch(watcher) {
      watchers.add(watcher);
      return () => watchers.delete(watcher);
    },
  };
}

/** What `select` takes from the store, now and after each change. */
export function useStore(store, select = (value) => value) {
  const [, draw] = useState(0);
  const selected = select(store.get());
  const shown = useRef(selected);
  shown.current = selected;
  const how = useRef(select);
  how.current = select;
  useEffect(() => {
    const check = () => {
      if (how.current(store.get()) !== shown.current) draw((n) => n + 1);
    };
    // It may have changed between drawing and now.
    check();
    return store.watch(check);
  }, [store]);
  return selected;
}
