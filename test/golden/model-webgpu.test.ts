import { describeCases } from './run-case.ts';

// One case, and one more in model-webgpu-tiles: the software adapter takes seconds for a step.
describeCases('webgpu', ['mean'], { allowSoftware: true });
