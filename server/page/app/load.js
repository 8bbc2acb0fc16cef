// Reading something of the server for as long as a view needs it.

import { useState, useEffect, useRef, useCallback } from './html.js';
import { get, isGivenUp } from './api.js';

/** Milliseconds that calls for reading again are collected. */
const COLLECT = 150;

/**
 * `{data, problem, loading, reload, change}` of `GET where`. Reads again when `where` or the parameters change, when
 * `reload` is called, and every `every` milliseconds while the page is looked at. What was read before stays meanwhile.
 * `change` puts what is known better in its place. Nothing is read while `where` is null.
 */
export function useLoad(where, parameters, { every } = {}) {
  const [state, setState] = useState({ data: null, problem: null, loading: true, key: null });
  const key = where === null ? null : JSON.stringify([where, parameters]);
  const current = useRef({});
  current.current.key = key;

  const read = useCallback(async () => {
    const mine = current.current;
    mine.controller?.abort();
    if (mine.key === null) return;
    const controller = new AbortController();
    mine.controller = controller;
    const wanted = mine.key;
    const [path, query] = JSON.parse(wanted);
    try {
      const data = await get(path, query ?? {}, controller.signal);
      if (mine.key === wanted) setState({ data, problem: null, loading: false, key: wanted });
    } catch (problem) {
      if (isGivenUp(problem) || mine.key !== wanted) return;
      // What was there is still the best that is known, unless it is about something else.
      setState((before) => ({ data: before.key === wanted ? before.data : null, problem, loading: false, key: wanted }));
    }
  }, []);

  const reload = useCallback(() => {
    const mine = current.current;
    mine.timer ??= setTimeout(() => {
      mine.timer = null;
      read();
    }, COLLECT);
  }, []);

  useEffect(() => {
    read();
    const timer = every && setInterval(() => !document.hidden && read(), every);
    return () => {
      clearInterval(timer);
      clearTimeout(current.current.timer);
      current.current.timer = null;
      current.current.controller?.abort();
    };
  }, [key, every]);

  const change = useCallback((how) => {
    setState((before) => (before.data === null ? before : { ...before, data: how(before.data) }));
  }, []);

  const fresh = state.key === key;
  return { data: fresh ? state.data : null, problem: fresh ? state.problem : null, loading: !fresh || state.loading, reload, change };
}
