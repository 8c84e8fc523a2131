/** The thread of a live page: keeps what the run tells, draws it where somebody looks, and serves it. */
import { parentPort, workerData } from 'node:worker_threads';
import { History } from './history.ts';
import { renderLivePage } from './page.ts';
import { LivePageError, openLiveServer } from './server.ts';
import { renderSections, titleOf } from './view.ts';
import type { LiveMessage, LiveReply, LiveStart } from './worker-messages.ts';

const port = parentPort;
if (port === null) throw new Error('live-worker.ts is started by a live page, as a worker thread');
const reply = (message: LiveReply): void => port.postMessage(message);

const history = new History();
const content = {
  title: () => titleOf(history),
  page: () => renderLivePage(titleOf(history), renderSections(history)),
  sections: () =>
    Object.fromEntries(Object.entries(renderSections(history)).map(([name, { markup }]) => [name, markup])),
};

try {
  const server = await openLiveServer(content, workerData as LiveStart);
  port.on('message', async (message: LiveMessage) => {
    if (message.kind === 'record') history.add(message.record);
    if (message.kind === 'subject') history.subject = message.subject;
    if (message.kind === 'end') history.end = message.text;
    server.changed();
    if (message.kind !== 'end') return;
    await server.close();
    port.close();
  });
  reply({ kind: 'listening', port: server.port });
} catch (error) {
  if (!(error instanceof LivePageError)) throw error;
  reply({ kind: 'failed', problem: error.problem, hint: error.hint });
  port.close();
}
