/** The page: says what it cannot do here, and starts what it can. */
import { byId, element } from './dom.ts';
import { keepForOffline } from './offline.ts';
import { startRecognition } from './recognition.ts';
import { supportHere } from './support.ts';

const { fatal, notices } = supportHere();
if (fatal !== undefined) {
  byId('unsupported-reason', HTMLElement).textContent = fatal;
  byId('unsupported', HTMLElement).hidden = false;
  byId('recognition', HTMLElement).hidden = true;
} else {
  const list = byId('notices', HTMLUListElement);
  list.replaceChildren(...notices.map((notice) => element('li', {}, notice)));
  list.hidden = notices.length === 0;
  startRecognition();
  keepForOffline();
}
