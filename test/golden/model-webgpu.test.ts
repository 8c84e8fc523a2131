import { describeCases } from './run-case.ts';

// Two cases only: the software adapter takes seconds for a step.
describeCases('webgpu', ['mean', 'transf'], { allowSoftware: true });
