import { test, equal } from './harness.js';
import { match, hostLink, containerLink } from '../app/routes.js';

test('addresses mean views', () => {
  equal(match('/'), { view: 'fleet', parameters: {} });
  equal(match('/hosts/'), { view: 'fleet', parameters: {} });
  equal(match('/events').view, 'events');
  equal(match('/nothing/here').view, null);
  equal(match('/hosts/a%').view, null);
});

test('names come through an address', () => {
  for (const name of ['pi-1', 'a b', 'a/b', 'ünï', '100%']) {
    equal(match(hostLink(name)), { view: 'host', parameters: { host: name } });
    equal(match(containerLink('h', name)).parameters, { host: 'h', container: name });
  }
});
