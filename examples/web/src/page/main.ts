/** The page: says what it cannot do here, and starts what it can. */
import { byId, element } from './dom.ts';
import { keepForOffline } from './offline.ts';
import { startRecognition } from './recognition.ts';
import { supportHere } from './support.ts';
import { startTabs, type Tab } from './tabs.ts';
import { startTraining } from './training/training.ts';

const { fatal, notices } = supportHere();
if (fatal !== undefined) {
  byId('unsupported-reason', HTMLElement).textContent = fatal;
  byId('unsupported', HTMLElement).hidden = false;
  for (const part of ['tabs', 'recognition']) byId(part, HTMLElement).hidden = true;
} else {
  const list = byId('notices', HTMLUListElement);
  list.replaceChildren(...notices.map((notice) => element('li', {}, notice)));
  list.hidden = notices.length === 0;
  const recognition = startRecognition();
  const training = startTraining(recognition);
  const tab = (name: string, panel: string, leave: () => void): Tab => ({
    name,
    tab: byId(`tab-${name}`, HTMLElement),
    panel: byId(panel, HTMLElement),
    leave,
  });
  startTabs([tab('recognise', 'recognition', recognition.leave), tab('train', 'training', training.leave)]);
  keepForOffline();
}
