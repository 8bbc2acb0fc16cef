import { test, equal } from './harness.js';
import { duration, age, ago, time, bytes, traffic, percent, count, status, port, seconds, parseSeconds } from '../app/format.js';

const M = 60;
const H = 60 * M;
const D = 24 * H;

test('spans are worded as docker words them', () => {
  const words = [[-5, 'Less than a second'], [0, 'Less than a second'], [1, '1 second'], [45, '45 seconds'], [60, 'About a minute'], [3 * M, '3 minutes'],
    [59 * M, '59 minutes'], [H, 'About an hour'], [H + 29 * M, 'About an hour'], [H + 30 * M, '2 hours'], [47 * H, '47 hours'], [2 * D, '2 days'],
    [13 * D, '13 days'], [14 * D, '2 weeks'], [60 * D, '2 months'], [729 * D, '24 months'], [730 * D, '2 years']];
  for (const [span, expected] of words) equal(duration(span * 1000), expected);
});

test('ages are short', () => {
  equal([40, 3 * M, 3 * H, 3 * D].map((span) => age(span * 1000)), ['40s', '3m', '3h', '3d']);
  equal(age(-1), '0s');
});

test('times of a host with nine digits are read', () => {
  equal(time('2026-11-22T10:00:00.123456789Z'), Date.UTC(2026, 10, 22, 10, 0, 0, 123));
  equal([time(null), time(''), time('soon')], [null, null, null]);
  equal(ago('2026-11-22T10:00:00Z', Date.UTC(2026, 10, 22, 10, 3)), '3 minutes ago');
  equal(ago('2026-11-22T10:03:00Z', Date.UTC(2026, 10, 22, 10, 0)), 'in 3 minutes');
  equal(ago(null, 0), '');
});

test('amounts', () => {
  equal([0, 456, 1024, 476 * 1024, 67108864, 5 * 1024 ** 3].map(bytes), ['0 B', '456 B', '1.0 KiB', '476 KiB', '64.0 MiB', '5.0 GiB']);
  equal([999, 1000, 12345678].map(traffic), ['999 B', '1.0 kB', '12.3 MB']);
  equal([null, undefined].map(bytes), ['–', '–']);
  equal([0, 0.4, 9.96, 12.4, null].map(percent), ['0 %', '0.4 %', '10 %', '12 %', '–']);
  equal([count(1, 'host'), count(12000, 'host'), count(2, 'it is', 'they are')], ['1 host', '12,000 hosts', '2 they are']);
});

test('a container is worded as docker ps words it', () => {
  const now = Date.UTC(2026, 10, 22, 10);
  const at = (text) => status({ started_at: '2026-11-22T09:57:00Z', finished_at: '2026-11-22T09:59:20Z', exit_code: null, health: null, ...text }, now);
  equal(at({ state: 'running' }), 'Up 3 minutes');
  equal(at({ state: 'running', health: 'healthy' }), 'Up 3 minutes (healthy)');
  equal(at({ state: 'running', health: 'starting' }), 'Up 3 minutes (health: starting)');
  equal(at({ state: 'paused' }), 'Up 3 minutes (Paused)');
  equal(at({ state: 'exited', exit_code: 137 }), 'Exited (137) 40 seconds ago');
  equal(at({ state: 'restarting', exit_code: 1 }), 'Restarting (1) 40 seconds ago');
  equal(at({ state: 'created' }), 'Created');
  equal(at({ state: 'something new' }), 'something new');
  equal(at({ state: 'running', started_at: null }), 'Up');
});

test('ports', () => {
  equal(port({ private: 80, public: 8080, address: '0.0.0.0', protocol: 'tcp' }), '0.0.0.0:8080->80/tcp');
  equal(port({ private: 80, public: 80, address: '::', protocol: 'tcp' }), '[::]:80->80/tcp');
  equal(port({ private: 53, public: null, address: null, protocol: 'udp' }), '53/udp');
});

test('spans as people write them', () => {
  equal(['90', '90s', '5m', '2 h', '30d', '2w', 'soon', '-1', ''].map(parseSeconds), [90, 90, 300, 7200, 2592000, 1209600, null, null, null]);
  equal([5, 90, 300, 7200, 2592000].map(seconds), ['5s', '90s', '5m', '2h', '30d']);
});
