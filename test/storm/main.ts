/** `scripts/storm`: a storm of any size, its history checked and printed. Exit code 1: something is wrong with it. */
import { parseArgs } from 'node:util';
import { EtcdCluster, etcdObstacle } from '../support/etcd.ts';
import { storm, stormText, violations } from './storm.ts';

const help = `scripts/storm [options]: writers at several gateways, while leaders of etcd are killed

  --gateways N      default 4
  --writers N       at each gateway, default 8
  --changes N       of each writer, default 200
  --templates N     that all of them change, default 16
  --kill-every MS   default 2000
`;

async function main(): Promise<number> {
  const { values } = parseArgs({
    options: {
      gateways: { type: 'string', default: '4' },
      writers: { type: 'string', default: '8' },
      changes: { type: 'string', default: '200' },
      templates: { type: 'string', default: '16' },
      'kill-every': { type: 'string', default: '2000' },
      help: { type: 'boolean', default: false },
    },
  });
  if (values.help) {
    process.stdout.write(help);
    return 0;
  }
  if (etcdObstacle !== undefined) throw new Error(etcdObstacle);
  const shape = {
    gateways: Number(values.gateways),
    writers: Number(values.writers),
    changes: Number(values.changes),
    templates: Number(values.templates),
    betweenKillsMs: Number(values['kill-every']),
  };
  const wanted = shape.gateways * shape.writers * shape.changes;
  const cluster = await EtcdCluster.start();
  try {
    const { history, counts } = await storm(cluster, shape, (made) => {
      console.log(`${made} of ${wanted}`);
    });
    console.log(stormText(history, counts));
    const wrong = violations(history);
    if (history.rules.length !== wanted) wrong.push(`${wanted} changes were asked for`);
    for (const each of wrong.slice(0, 50)) console.log(each);
    console.log(
      wrong.length === 0
        ? 'each acknowledged change is there once, numbers have no gaps, the order is right, and all gateways have compiled the same'
        : `${wrong.length} things are wrong`,
    );
    return wrong.length === 0 ? 0 : 1;
  } finally {
    await cluster.stop();
  }
}

try {
  process.exitCode = await main();
} catch (error) {
  console.error(`storm: ${(error as Error).message}`);
  process.exitCode = 2;
}
