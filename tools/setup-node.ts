// Vitest's set-up file for the tests in Node: gives Dawn its software driver before a test asks for an adapter.

import { preloadSoftwareVulkan } from './software-webgpu.ts';

preloadSoftwareVulkan();
