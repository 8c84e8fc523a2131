/** The video: dropped, picked or one of the samples, with a preview that can be sent to a moment. */
import { byId, element } from './dom.ts';

export interface ChosenVideo {
  readonly name: string;
  readonly blob: Blob;
}

export class VideoPanel {
  readonly #chosen: (video: ChosenVideo) => void;
  readonly #failed: (problem: string) => void;
  readonly #preview = byId('preview', HTMLElement);
  readonly #name = byId('video-name', HTMLElement);
  readonly #drop = byId('drop', HTMLElement);
  #address: string | undefined;
  #player: HTMLVideoElement | undefined;
  #live: HTMLVideoElement | undefined;

  constructor(chosen: (video: ChosenVideo) => void, failed: (problem: string) => void) {
    this.#chosen = chosen;
    this.#failed = failed;
    const input = byId('video-input', HTMLInputElement);
    input.addEventListener('change', () => {
      const [file] = input.files ?? [];
      if (file !== undefined) this.show({ name: file.name, blob: file });
      input.value = ''; // so that the same file can be picked again
    });
    this.#acceptDrops();
  }

  /** Shows a video and says that it was chosen. */
  show(video: ChosenVideo): void {
    this.clear();
    this.#address = URL.createObjectURL(video.blob);
    this.#name.textContent = video.name;
    this.#preview.replaceChildren(this.#shown(video, this.#address));
    this.#drop.classList.add('has-video');
    this.#chosen(video);
  }

  /** Shows what a webcam sees. */
  showLive(preview: HTMLVideoElement): void {
    this.clear();
    this.#live = preview;
    this.#name.textContent = 'Webcam';
    this.#preview.replaceChildren(preview);
    this.#drop.classList.add('has-video');
  }

  /** Takes a webcam away, unless a video has taken its place. */
  endLive(): void {
    if (this.#live !== undefined) this.clear();
  }

  /** Shows nothing. */
  clear(): void {
    if (this.#address !== undefined) URL.revokeObjectURL(this.#address);
    this.#address = undefined;
    this.#player = undefined;
    this.#live = undefined;
    this.#name.textContent = '';
    this.#preview.replaceChildren();
    this.#drop.classList.remove('has-video');
  }

  /** Fetches a clip that comes with the page. */
  async sample(name: string, address: string): Promise<void> {
    try {
      const response = await fetch(address);
      if (!response.ok) throw new Error(`status ${response.status}`);
      this.show({ name, blob: await response.blob() });
    } catch (error) {
      const reason = error instanceof Error ? error.message : String(error);
      this.#failed(`The sample clip ${name} cannot be fetched (${reason}); check that the whole folder is served`);
    }
  }

  /** Goes to a moment, in seconds, where there is something to play, and has it seen. */
  seek(seconds: number): void {
    if (this.#player === undefined) return;
    this.#player.pause();
    this.#player.currentTime = seconds;
    this.#player.scrollIntoView({ block: 'nearest' });
  }

  #shown({ name, blob }: ChosenVideo, address: string): HTMLElement {
    if (blob.type.startsWith('image/')) return element('img', { attributes: { src: address, alt: name } });
    const player = element('video', {
      attributes: { src: address, controls: '', loop: '', playsinline: '', 'aria-label': name },
    });
    player.muted = true;
    // What the model can read may still be nothing for the browser's player: then there is no preview.
    player.addEventListener('error', () => player.remove());
    this.#player = player;
    return player;
  }

  /** Files may be dropped anywhere while the video is in sight; the place for them shows that. */
  #acceptDrops(): void {
    const target = document.documentElement;
    target.addEventListener('dragover', (event) => {
      if (!event.dataTransfer?.types.includes('Files')) return;
      event.preventDefault();
      this.#drop.classList.add('dragging');
    });
    target.addEventListener('dragleave', ({ relatedTarget }) => {
      if (relatedTarget === null) this.#drop.classList.remove('dragging');
    });
    target.addEventListener('drop', (event) => {
      event.preventDefault();
      this.#drop.classList.remove('dragging');
      const [file] = event.dataTransfer?.files ?? [];
      if (file !== undefined && this.#drop.checkVisibility()) this.show({ name: file.name, blob: file });
    });
  }
}
