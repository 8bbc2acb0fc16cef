// All containers of the fleet, filtered by the server, and if one likes by compose project.

import { html, useEffect, useState } from '../html.js';
import { useFilters, FilterBar, TextFilter, Choices, LabelFilter, Given, ClearFilters, toggle } from '../filter_bar.js';
import { useContainers, ContainerRows, Cells, PROJECT } from '../container_table.js';
import { Nothing, ProblemNote, Note, Waiting } from '../notice.js';
import { count } from '../format.js';

const SHAPE = { name: '', state: [], health: [], host: [], project: [], image: [], label: [], all: '', group: '' };

const STATES = [['running', 'Running'], ['paused', 'Paused'], ['restarting', 'Restarting'], ['exited', 'Exited'], ['dead', 'Dead']];

/** Containers that are put into groups at most: groups need all of them at once. */
const MOST = 500;

export function Containers() {
  const [filters, change] = useFilters(SHAPE);
  const { name, state, health, host, project, image, label, all, group } = filters;
  const list = useContainers({ name, state, health, host, project, image, label, all: all || state.includes('created') });
  return html`<div class="title"><h1 tabindex="-1">Containers</h1><p class="quiet" role="status">${list.total !== null && count(list.total, 'container')}</p></div>
    <section class="card" aria-label="Containers">
      <${FilterBar} label="Containers" shape=${SHAPE} filters=${filters} except=${['name', 'group']}
        first=${html`<${TextFilter} first label="Filter by name" placeholder="Name  ( / )" value=${name} onChange=${(next) => change({ name: next })} />`}>
        <${Choices} label="State" choices=${STATES} chosen=${state} onToggle=${(one) => change(toggle(filters, 'state', one))} />
        <${Choices} label="Health" choices=${[['unhealthy', 'Unhealthy']]} chosen=${health} onToggle=${(one) => change(toggle(filters, 'health', one))} />
        <${LabelFilter} labels=${label} onChange=${(next) => change({ label: next })} />
        <${Given} values=${host} prefix="host " onRemove=${(one) => change(toggle(filters, 'host', one))} />
        <${Given} values=${project} prefix="project " onRemove=${(one) => change(toggle(filters, 'project', one))} />
        <${Given} values=${image} prefix="image " onRemove=${(one) => change(toggle(filters, 'image', one))} />
        <${Choices} label="How they are shown" choices=${[['project', 'By project']]} chosen=${[group]} onToggle=${() => change({ group: group ? '' : 'project' })} />
        <${Choices} label="Which are shown" choices=${[['true', 'Never started, too']]} chosen=${[all]} onToggle=${() => change({ all: all ? '' : 'true' })} />
        <${ClearFilters} shape=${SHAPE} filters=${filters} onChange=${change} except=${['group']} />
      <//>
      <${ProblemNote} problem=${list.problem} retry=${list.refresh} />
      ${list.total === null ? !list.problem && html`<${Waiting} what="containers" />`
        : list.total === 0 && !list.waiting ? html`<${Nothing} title="No container is like that"><button type="button" class="button" onClick=${() => change(SHAPE)}>Clear filters</button><//>`
        : group === 'project' && list.total <= MOST ? html`<${Groups} list=${list} />`
        : html`${group === 'project' && html`<${Note}>Groups are shown of up to ${MOST} containers: filter some out first.<//>`}
          <${ContainerRows} list=${list} caption="Containers" />`}
    </section>`;
}

/** By compose project; what belongs to none comes last. Pure. */
export function byProject(containers) {
  const groups = new Map();
  for (const container of containers) {
    const project = container.labels[PROJECT] ?? '';
    if (!groups.has(project)) groups.set(project, []);
    groups.get(project).push(container);
  }
  return [...groups].sort(([a], [b]) => (a === '') - (b === '') || a.localeCompare(b));
}

function Groups({ list }) {
  // All of them are wanted: the list reads what it does not hold.
  const [, draw] = useState(0);
  useEffect(() => {
    list.show(0, list.total);
    draw((n) => n + 1);
  }, [list.show, list.total]);
  const rows = Array.from({ length: list.total }, (_, row) => list.row(row)).filter(Boolean);
  return html`<table class="table long containers grouped" role="table"><caption class="unseen">Containers by compose project</caption>
    <thead role="rowgroup"><tr role="row">${['Name', 'Status', 'Image', 'Host', 'CPU', 'Memory'].map((title, index) => html`<th key=${title} role="columnheader" scope="col" class=${index === 0 ? 'wide' : index > 3 ? 'number' : ''}>${title}</th>`)}</tr></thead>
    ${byProject(rows).map(([project, containers]) => html`<tbody key=${project} role="rowgroup">
      <tr class="group" role="row"><th role="rowheader" scope="rowgroup" colspan="6">${project || 'No project'} <span class="quiet">${count(containers.length, 'container')}, ${containers.filter((one) => one.state === 'running').length} running</span></th></tr>
      ${containers.map((one) => html`<tr key=${`${one.host_id} ${one.id}`} role="row" class=${one.stale ? 'stale' : ''}><${Cells} container=${one} /></tr>`)}
    </tbody>`)}
  </table>`;
}
