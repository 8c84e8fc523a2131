/**
 * A server on this machine in the place of the Hugging Face hub and its storage: over TLS, with what lets other pages
 * read, and with files at another host than the list of them.
 */
import { generateKeyPairSync, type KeyObject, sign } from 'node:crypto';
import type { ServerResponse } from 'node:http';
import { createServer } from 'node:https';
import type { AddressInfo } from 'node:net';
import { gitDigest, sha256 } from '../actionclip/hub/mock-hub.ts';

export interface FakeHub {
  /** With these a browser takes this server for the hub. */
  readonly flags: readonly string[];
  /** Addresses that were asked, in their order. */
  readonly asked: string[];
  /** By `owner/name`, the files of each; those of 64 bytes and more are in LFS. */
  readonly repositories: Map<string, ReadonlyMap<string, Buffer>>;
  /** Answers in place of the usual, by the end of the path. */
  readonly faults: Map<string, (response: ServerResponse, bytes: Buffer) => void>;
  close(): Promise<void>;
}

export const commit = 'c'.repeat(40);
const storage = 'us.aws.cdn.hf.co';
const largeFrom = 64;
const headers = { 'access-control-allow-origin': '*', 'access-control-expose-headers': 'Link' };

export async function openFakeHub(): Promise<FakeHub> {
  const repositories: FakeHub['repositories'] = new Map();
  const faults: FakeHub['faults'] = new Map();
  const asked: string[] = [];
  const server = createServer(credentials(), (request, response) => {
    const host = request.headers.host ?? '';
    const path = decodeURIComponent(request.url ?? '').split('?')[0] ?? '';
    asked.push(`${host}${path}`);
    const [, owner, name, rest = ''] = /^(?:\/api\/models)?\/([^/]+)\/([^/]+)(.*)$/.exec(path) ?? [];
    const files = repositories.get(`${owner}/${name}`);
    const file = rest.replace(/^\/(?:resolve\/)?[0-9a-f]{40}\//, '');
    const bytes = files?.get(file) ?? Buffer.alloc(0);
    const fault = [...faults].find(([end]) => path.endsWith(end) && (host === storage || !files?.has(file)))?.[1];
    if (fault !== undefined) fault(response, bytes);
    else if (files === undefined) respond(response, 401, '{"error":"Repository not found"}');
    else if (rest.startsWith('/revision/') && !rest.startsWith('/revision/main')) respond(response, 404, '{}');
    else if (rest.startsWith('/revision/')) {
      respond(response, 200, JSON.stringify({ _id: '1', id: `${owner}/${name}`, sha: commit, lastModified: 0 }));
    } else if (path.startsWith('/api/')) respond(response, 200, JSON.stringify([...files].map(entryOf)));
    else if (host === storage) respond(response, 200, bytes);
    else if (bytes.length < largeFrom) respond(response, 200, bytes);
    else respond(response, 302, '', { location: `https://${storage}/${owner}/${name}/${commit}/${file}` });
  });
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  const { port } = server.address() as AddressInfo;
  const rules = ['huggingface.co', '*.hf.co'].map((host) => `MAP ${host}:443 127.0.0.1:${port}`).join(', ');
  return {
    flags: [`--host-resolver-rules=${rules}`, '--ignore-certificate-errors'],
    asked,
    repositories,
    faults,
    close: async () => {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export function respond(
  response: ServerResponse,
  status: number,
  body: string | Buffer,
  more: Record<string, string> = {},
): void {
  response.writeHead(status, { ...headers, 'content-length': Buffer.byteLength(body), ...more }).end(body);
}

function entryOf([path, bytes]: [string, Buffer]): object {
  const entry = { type: 'file', path, size: bytes.length, oid: gitDigest(bytes) };
  if (bytes.length < largeFrom) return entry;
  return { ...entry, lfs: { oid: sha256(bytes), size: bytes.length, pointerSize: 130 } };
}

/** A key, and a certificate that it gives itself (RFC 5280, version 1, without names). */
function credentials(): { key: string; cert: string } {
  const { privateKey, publicKey } = generateKeyPairSync('ec', { namedCurve: 'P-256' });
  return {
    key: privateKey.export({ type: 'pkcs8', format: 'pem' }) as string,
    cert: certificate(privateKey, publicKey),
  };
}

function certificate(privateKey: KeyObject, publicKey: KeyObject): string {
  const algorithm = der(0x30, Buffer.from('06082a8648ce3d040302', 'hex')); // ecdsa-with-SHA256
  const nobody = der(0x30);
  const validity = der(0x30, der(0x17, Buffer.from('200101000000Z')), der(0x17, Buffer.from('490101000000Z')));
  const key = publicKey.export({ type: 'spki', format: 'der' });
  const content = der(0x30, der(0x02, Buffer.from([1])), algorithm, nobody, validity, nobody, key);
  const signature = der(0x03, Buffer.from([0]), sign('sha256', content, privateKey));
  const whole = der(0x30, content, algorithm, signature).toString('base64');
  return `-----BEGIN CERTIFICATE-----\n${whole}\n-----END CERTIFICATE-----\n`;
}

/** A value in DER: its tag, its length in as few bytes as can be, its content. */
function der(tag: number, ...parts: readonly Buffer[]): Buffer {
  const content = Buffer.concat(parts);
  const { length } = content;
  const size = length < 128 ? [length] : length < 256 ? [0x81, length] : [0x82, length >> 8, length & 255];
  return Buffer.concat([Buffer.from([tag, ...size]), content]);
}
