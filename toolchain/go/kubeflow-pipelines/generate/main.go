// Generate writes Go packages from serialized FileDescriptorProtos, as protoc-gen-go would.
//
//	generate FOLDER DESCRIPTOR...
//
// Descriptors come in the order of their imports. Each file is written to FOLDER/<Go package>/.
// Kubeflow's API modules are not published at the backend's commit; their descriptors are, inside
// the Python packages of the same release.
package main

import (
	"fmt"
	"os"
	"path/filepath"

	"github.com/kubeflow/pipelines/api/v2alpha1/go/cachekey"
	_ "google.golang.org/genproto/googleapis/rpc/status"
	gengo "google.golang.org/protobuf/cmd/protoc-gen-go/internal_gengo"
	"google.golang.org/protobuf/compiler/protogen"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/reflect/protoreflect"
	"google.golang.org/protobuf/reflect/protoregistry"
	"google.golang.org/protobuf/types/descriptorpb"
	_ "google.golang.org/protobuf/types/known/durationpb"
	_ "google.golang.org/protobuf/types/known/structpb"
	_ "google.golang.org/protobuf/types/known/timestamppb"
	"google.golang.org/protobuf/types/pluginpb"
)

func main() {
	if len(os.Args) < 3 {
		fmt.Fprintln(os.Stderr, "usage: generate FOLDER DESCRIPTOR...")
		os.Exit(2)
	}
	if err := generate(os.Args[1], os.Args[2:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func generate(folder string, descriptors []string) error {
	request, err := newRequest(descriptors)
	if err != nil {
		return err
	}
	plugin, err := protogen.Options{}.New(request)
	if err != nil {
		return err
	}
	for _, file := range plugin.Files {
		if file.Generate {
			gengo.GenerateFile(plugin, file)
		}
	}
	response := plugin.Response()
	if response.Error != nil {
		return fmt.Errorf("protoc-gen-go: %s", *response.Error)
	}
	for _, file := range response.File {
		target := filepath.Join(folder, file.GetName())
		if err := os.MkdirAll(filepath.Dir(target), 0o755); err != nil {
			return err
		}
		if err := os.WriteFile(target, []byte(file.GetContent()), 0o644); err != nil {
			return err
		}
	}
	return nil
}

// newRequest lists the files to generate, and before each what it imports.
func newRequest(descriptors []string) (*pluginpb.CodeGeneratorRequest, error) {
	request := &pluginpb.CodeGeneratorRequest{}
	known := map[string]bool{}
	var imports func(file *descriptorpb.FileDescriptorProto) error
	imports = func(file *descriptorpb.FileDescriptorProto) error {
		for _, name := range file.Dependency {
			if known[name] {
				continue
			}
			known[name] = true
			found, err := protoregistry.GlobalFiles.FindFileByPath(name)
			if err != nil {
				return fmt.Errorf("%s imports %s: %w", file.GetName(), name, err)
			}
			dependency := protodesc.ToFileDescriptorProto(found)
			if err := imports(dependency); err != nil {
				return err
			}
			request.ProtoFile = append(request.ProtoFile, dependency)
		}
		return nil
	}
	var files []*descriptorpb.FileDescriptorProto
	for _, path := range descriptors {
		content, err := os.ReadFile(path)
		if err != nil {
			return nil, err
		}
		file := &descriptorpb.FileDescriptorProto{}
		if err := proto.Unmarshal(content, file); err != nil {
			return nil, fmt.Errorf("%s: %w", path, err)
		}
		files = append(files, file)
	}
	// No Python package has this one. It has not changed since the release that Go's proxy serves.
	files = append(files, protodesc.ToFileDescriptorProto(cachekey.File_cache_key_proto))
	for _, file := range files {
		if err := imports(file); err != nil {
			return nil, err
		}
		known[file.GetName()] = true
		request.ProtoFile = append(request.ProtoFile, file)
		request.FileToGenerate = append(request.FileToGenerate, file.GetName())
	}
	return request, nameFields(request.ProtoFile)
}

// nameFields sets every field's JSON name: protoc does for its plugins, but Python's packages
// leave out those that follow the rule.
func nameFields(protos []*descriptorpb.FileDescriptorProto) error {
	files, err := protodesc.NewFiles(&descriptorpb.FileDescriptorSet{File: protos})
	if err != nil {
		return err
	}
	var name func(parent protoreflect.FullName, message *descriptorpb.DescriptorProto) error
	name = func(parent protoreflect.FullName, message *descriptorpb.DescriptorProto) error {
		full := parent.Append(protoreflect.Name(message.GetName()))
		for _, field := range message.Field {
			found, err := files.FindDescriptorByName(full.Append(protoreflect.Name(field.GetName())))
			if err != nil {
				return err
			}
			field.JsonName = proto.String(found.(protoreflect.FieldDescriptor).JSONName())
		}
		for _, nested := range message.NestedType {
			if err := name(full, nested); err != nil {
				return err
			}
		}
		return nil
	}
	for _, file := range protos {
		for _, message := range file.MessageType {
			if err := name(protoreflect.FullName(file.GetPackage()), message); err != nil {
				return err
			}
		}
	}
	return nil
}
